/**
 * A hub on 127.0.0.1 with the part of Hugging Face's HTTP protocol that we use: revision, tree (in
 * pages) and resolve, for data sets and models alike. It serves small files itself, with Git's blob
 * id as their ETag. For files in large-file storage it redirects to a second server (another
 * origin), which understands ranges and If-Range. Tests can make it fail through `faults`.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export type HostedFile = {
  bytes: Buffer;
  lfs: boolean;
  /** A wrong checksum for both the list and the ETag. */
  claimed?: string;
  /** A wrong checksum for the ETag only. */
  etag?: string;
};
export type HostedRepo = { repo: string; revisions: Record<string, string>; files: Record<string, HostedFile> };

/**
 * What happens to the next request for a path's bytes or to the hub's API: after so many more bytes
 * have arrived it is cut, or falls silent. Or it is answered with a status.
 */
export type Fault =
  | { cutAfter: number }
  | { silentAfter: number }
  | { status: number; headers?: Record<string, string> };

export type SeenRequest = { server: 'hub' | 'storage'; path: string; headers: IncomingMessage['headers'] };

export class HubServer {
  readonly requests: SeenRequest[] = [];
  /** The faults by the file's path in its repository, or by `api`. Each fault is used once. */
  readonly faults = new Map<string, Fault[]>();
  /** The number of bytes of a file that the client has, by the client's own count. */
  arrived: (path: string) => number = () => Number.POSITIVE_INFINITY;
  readonly #repos: HostedRepo[];
  readonly #hub: Server;
  readonly #storage: Server;

  private constructor(repos: HostedRepo[]) {
    this.#repos = repos;
    this.#hub = createServer((request, response) => this.#answerHub(request, response));
    this.#storage = createServer((request, response) => this.#answerStorage(request, response));
  }

  static async start(...repos: HostedRepo[]): Promise<HubServer> {
    const server = new HubServer(repos);
    for (const each of [server.#hub, server.#storage]) {
      await new Promise<void>((listening) => each.listen(0, '127.0.0.1', listening));
    }
    return server;
  }

  get endpoint(): string {
    return addressOf(this.#hub);
  }

  async stop(): Promise<void> {
    for (const each of [this.#hub, this.#storage]) {
      each.closeAllConnections();
      await new Promise((closed) => each.close(closed));
    }
  }

  /** The requests for a file's bytes, to either server. */
  requestsFor(file: string): SeenRequest[] {
    return this.requests.filter(({ path }) => path.endsWith(`/${file}`));
  }

  #answerHub(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url!, this.endpoint);
    this.requests.push({ server: 'hub', path: url.pathname, headers: request.headers });
    const [, repo, kind, revision = '', rest = ''] =
      /^\/(?:api\/datasets\/|datasets\/|api\/models\/|)([^/]+\/[^/]+)\/(revision|tree|resolve)\/([^/]+)\/?(.*)$/.exec(
        url.pathname,
      ) ?? [];
    const hosted = this.#repos.find((each) => each.repo === repo);
    const commit = hosted && commitOf(hosted, decodeURIComponent(revision));
    if (hosted === undefined || commit === undefined) {
      refuse(response, 404);
      return;
    }
    if (kind === 'resolve') {
      this.#resolve(request, response, { hosted, commit, path: decodeURIComponent(rest) });
      return;
    }
    if (this.#fail('api', response)) return;
    if (kind === 'revision') {
      sendJson(response, { id: repo, sha: commit, private: false });
      return;
    }
    // Two entries per page, so that a client that reads only the first page fails the test.
    const entries = Object.entries(hosted.files).map(([path, file]) => treeEntry(path, file));
    const all = [{ type: 'directory', path: 'data', size: 0, oid: '0'.repeat(40) }, ...entries];
    const from = Number(url.searchParams.get('cursor') ?? 0);
    if (from + 2 < all.length) {
      url.searchParams.set('cursor', String(from + 2));
      response.setHeader('link', `<${url.href}>; rel="next"`);
    }
    sendJson(response, all.slice(from, from + 2));
  }

  #resolve(
    request: IncomingMessage,
    response: ServerResponse,
    { hosted, commit, path }: { hosted: HostedRepo; commit: string; path: string },
  ): void {
    const file = hosted.files[path];
    if (file === undefined) {
      refuse(response, 404, { 'x-error-message': 'Entry not found' });
      return;
    }
    response.setHeader('x-repo-commit', commit);
    if (!file.lfs) {
      this.#sendBytes(request, response, { path, file, etag: `"${file.etag ?? checksumOf(file)}"` });
      return;
    }
    const location = `${addressOf(this.#storage)}/${hosted.repo}/${path}?signature=secret`;
    response.setHeader('x-linked-etag', `"${file.etag ?? checksumOf(file)}"`);
    response.setHeader('x-linked-size', file.bytes.length);
    response.writeHead(302, { location }).end(`Found. Redirecting to ${location}`);
  }

  #answerStorage(request: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(request.url!, addressOf(this.#storage));
    this.requests.push({ server: 'storage', path: pathname, headers: request.headers });
    const hosted = this.#repos.find(({ repo }) => pathname.startsWith(`/${repo}/`));
    const path = pathname.slice(`/${hosted?.repo}/`.length);
    const file = hosted?.files[path];
    if (file === undefined) {
      refuse(response, 404);
      return;
    }
    const etag = `"${createHash('md5').update(file.bytes).digest('hex')}-1"`;
    this.#sendBytes(request, response, { path, file, etag });
  }

  #sendBytes(
    request: IncomingMessage,
    response: ServerResponse,
    { path, file, etag }: { path: string; file: HostedFile; etag: string },
  ): void {
    const fault = this.#take(path);
    if (fault && 'status' in fault) {
      refuse(response, fault.status, fault.headers);
      return;
    }
    const { range, 'if-range': condition } = request.headers;
    const from =
      range && (condition === undefined || condition === etag) ? Number(/^bytes=(\d+)-$/.exec(range)![1]) : 0;
    const { length } = file.bytes;
    if (from > 0 && from >= length) {
      refuse(response, 416, { 'content-range': `bytes */${length}` });
      return;
    }
    response.setHeader('etag', etag);
    response.setHeader('accept-ranges', 'bytes');
    response.setHeader('content-length', length - from);
    if (from > 0) response.setHeader('content-range', `bytes ${from}-${length - 1}/${length}`);
    response.writeHead(from > 0 ? 206 : 200);
    if (fault === undefined) {
      response.end(file.bytes.subarray(from));
      return;
    }
    if ('silentAfter' in fault) {
      response.flushHeaders();
      response.write(file.bytes.subarray(from, from + fault.silentAfter));
      return;
    }
    response.write(file.bytes.subarray(from, from + fault.cutAfter));
    void this.#cut(response, { path, at: from + fault.cutAfter });
  }

  /**
   * Cuts only when the bytes before the cut are on the client's disk, because a broken connection
   * may lose bytes in transit.
   */
  async #cut(response: ServerResponse, { path, at }: { path: string; at: number }): Promise<void> {
    while (this.arrived(path) < at) await sleep(2);
    response.destroy();
  }

  #take(key: string): Fault | undefined {
    return this.faults.get(key)?.shift();
  }

  #fail(key: string, response: ServerResponse): boolean {
    const fault = this.#take(key);
    if (fault === undefined) return false;
    if ('status' in fault) refuse(response, fault.status, fault.headers);
    else response.destroy();
    return true;
  }
}

export function checksumOf({ bytes, lfs, claimed }: HostedFile): string {
  if (claimed !== undefined) return claimed;
  if (lfs) return createHash('sha256').update(bytes).digest('hex');
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}

function treeEntry(path: string, file: HostedFile) {
  const { length: size } = file.bytes;
  if (!file.lfs) return { type: 'file', path, size, oid: checksumOf(file) };
  const lfs = { oid: checksumOf(file), size, pointerSize: 134 };
  return { type: 'file', path, size, oid: 'a'.repeat(40), lfs };
}

function commitOf({ revisions }: HostedRepo, revision: string): string | undefined {
  return revisions[revision] ?? Object.values(revisions).find((commit) => commit === revision);
}

function addressOf(server: Server): string {
  // The cast is safe: a server on a port has an AddressInfo. Only a pipe has a string.
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function sendJson(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function refuse(response: ServerResponse, status: number, headers: Record<string, string> = {}): void {
  response.writeHead(status, headers).end();
}
