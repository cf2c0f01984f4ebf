// Real peers on this machine: processes of the program, each with folders of its own.

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { appendFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "../..");
const PROGRAM = resolve(process.env.GANNET ?? resolve(ROOT, process.env.CARGO_TARGET_DIR ?? "target", "release/gannet"));
const START_MS = 20_000;
/** Bytes of noise made at a time. */
const PART = 1 << 26;

/** Waits until something is so; a test that waits too long fails.
 * @template T @param {string} what @param {() => T | Promise<T>} look @param {number} [milliseconds] @returns {Promise<T>} */
export async function until(what, look, milliseconds = 20_000) {
  const end = Date.now() + milliseconds;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${milliseconds} ms: ${what}`);
    await new Promise((go) => setTimeout(go, 20));
  }
}

/** One process. */
export class Peer {
  /** @type {import("node:child_process").ChildProcess | undefined} */
  process = undefined;
  address = "";

  /** @param {string} dir @param {string} kind @param {string[]} flags */
  constructor(dir, kind, flags) {
    this.folder = join(dir, "shared");
    this.data = join(dir, "data");
    this.kind = kind;
    this.flags = flags;
    mkdirSync(this.folder, { recursive: true });
  }

  /** @param {string[]} [more] */
  async start(more = []) {
    const where = ["--data-dir", this.data, "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0", "--no-local-discovery"];
    const folders = this.kind === "up" ? [this.folder] : [];
    const child = spawn(PROGRAM, ["--json", this.kind, ...folders, ...where, ...this.flags, ...more], { stdio: ["ignore", "pipe", "pipe"] });
    this.process = child;
    let text = "";
    let problems = "";
    child.stdout.on("data", (part) => { text += part; });
    child.stderr.on("data", (part) => { problems += part; });
    await until(`a peer starts: ${PROGRAM}`, () => {
      if (child.exitCode !== null) throw new Error(`a peer has ended: ${problems}`);
      return text.includes("\n");
    }, START_MS);
    this.address = JSON.parse(text.slice(0, text.indexOf("\n"))).address;
    return this;
  }

  get id() {
    return this.address.slice(0, 64);
  }

  get api() {
    return JSON.parse(readFileSync(join(this.data, "api.json"), "utf8"));
  }

  get origin() {
    return `http://${this.api.address}`;
  }

  /** Asks its API, as the command line would.
   * @param {string} path @param {unknown} [body] @returns {Promise<any>} */
  async ask(path, body) {
    const { address, token } = this.api;
    /** @type {Record<string, string>} */
    const headers = { Authorization: `Bearer ${token}` };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const answer = await fetch(`http://${address}/api/v1${path}`, { method: body === undefined ? "GET" : "POST", headers, body: body === undefined ? undefined : JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  /** A link that lets a browser in. */
  async link() {
    return (await this.ask("/session/link", {})).link;
  }

  /** @param {string} name @param {Buffer | number} content Bytes, or how many of noise. */
  share(name, content) {
    const path = join(this.folder, name);
    mkdirSync(dirname(path), { recursive: true });
    if (typeof content !== "number") return writeFileSync(path, content);
    writeFileSync(path, "");
    for (let left = content; left > 0; left -= PART) appendFileSync(path, randomBytes(Math.min(left, PART)));
  }

  /** Ends it as a power cut would. */
  async kill() {
    const child = this.process;
    // One that a signal has ended has no code, and tells of its end only once.
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((go) => child.once("exit", go));
    child.kill("SIGKILL");
    await gone;
  }
}

/** Peers that know each other. */
export class Network {
  dir = mkdtempSync(join(tmpdir(), "gannet-browser-"));
  /** @type {Peer[]} */
  peers = [];

  /** @param {string} kind @param {string[]} flags @param {(peer: Peer) => void} [fill] */
  async add(kind, flags, fill) {
    const peer = new Peer(join(this.dir, `peer-${this.peers.length}`), kind, flags);
    this.peers.push(peer);
    fill?.(peer);
    return peer.start();
  }

  /** Ends a peer and deletes all that it has. @param {Peer} peer */
  async remove(peer) {
    await peer.kill();
    rmSync(dirname(peer.data), { recursive: true, force: true });
  }

  /** Has the machine hold as much memory as so many bytes in a file take, and lets go of
   * it. A virtual machine that gives free memory back to its host gets it again page by
   * page, slower than anything else here.
   * @param {number} bytes */
  async warm(bytes) {
    const path = join(this.dir, "warm");
    const part = Buffer.alloc(PART);
    for (let left = bytes; left > 0; left -= PART) await appendFile(path, part.subarray(0, Math.min(left, PART)));
    await rm(path);
  }

  async end() {
    await Promise.all(this.peers.map((peer) => peer.kill()));
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Seconds of noise as a WAV file: a header, and bytes that can be told apart.
 * @param {number} seconds */
export function sound(seconds) {
  const rate = 44_100;
  const bytes = seconds * rate * 4;
  const file = Buffer.alloc(44 + bytes);
  file.write("RIFF", 0);
  file.writeUInt32LE(36 + bytes, 4);
  file.write("WAVEfmt ", 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(2, 22);
  file.writeUInt32LE(rate, 24);
  file.writeUInt32LE(rate * 4, 28);
  file.writeUInt16LE(4, 32);
  file.writeUInt16LE(16, 34);
  file.write("data", 36);
  file.writeUInt32LE(bytes, 40);
  randomBytes(bytes).copy(file, 44);
  return file;
}

/** A small picture in one colour, as a BMP file. @param {number} side @param {[number, number, number]} colour */
export function picture(side, [red, green, blue]) {
  const file = Buffer.alloc(54 + side * side * 4);
  file.write("BM", 0);
  file.writeUInt32LE(file.length, 2);
  file.writeUInt32LE(54, 10);
  file.writeUInt32LE(40, 14);
  file.writeInt32LE(side, 18);
  file.writeInt32LE(side, 22);
  file.writeUInt16LE(1, 26);
  file.writeUInt16LE(32, 28);
  for (let at = 54; at < file.length; at += 4) file.set([blue, green, red, 0], at);
  return file;
}

if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is not there: cargo build --release, or name another with GANNET=`);
