// Before anything is drawn.
document.documentElement.dataset.theme = localStorage.getItem("gannet-theme") ?? "system";
