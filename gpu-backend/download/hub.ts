/**
 * A hub as Hugging Face's clients see it. It tells which commit a revision is and which files a
 * commit holds (with size and checksum), and it serves the bytes of a file. `endpoint` may be any
 * server with the same protocol. We support only public and gated data sets. We do not use Xet's
 * own transfer protocol, because the hub serves the same bytes over plain HTTP.
 */
import * as z from 'zod';
import { type Checksum, GitBlobSum, Sha256Sum } from './checksum.ts';
import { type Retrying, retryAfterMs, TransientError, withRetries } from './retry.ts';

export type RemoteFile = { path: string; size: number; checksum: Checksum };

export type HubOptions = Retrying & { endpoint: string; token: string | null; fetch: typeof globalThis.fetch };

/**
 * `hubEtag` is the ETag from the hub itself, even if the bytes come from a storage server with
 * ETags of its own.
 */
export type OpenedFile = { response: Response; hubEtag: string | null };

const Revision = z.object({ sha: z.string().regex(/^[0-9a-f]{40}$/) });
const Tree = z.array(
  z.object({
    type: z.string(),
    path: z.string(),
    size: z.number().int().nonnegative(),
    oid: GitBlobSum.shape.gitSha1,
    lfs: z.object({ oid: Sha256Sum.shape.sha256, size: z.number().int().nonnegative() }).nullish(),
  }),
);

const MAX_REDIRECTS = 10;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export class Hub {
  readonly #base: string;
  readonly #origin: string;
  readonly #options: HubOptions;

  /**
   * Throws if `endpoint` is not an http(s) address, or if a token would cross a network
   * unencrypted.
   */
  constructor(options: HubOptions) {
    const url = URL.parse(options.endpoint);
    if (url === null || !/^https?:$/.test(url.protocol)) {
      throw new Error(`the endpoint "${options.endpoint}" is no http or https address`);
    }
    if (options.token !== null && url.protocol === 'http:' && !/^(127\..*|localhost|\[::1\])$/.test(url.hostname)) {
      throw new Error(`HF_TOKEN would go to ${url.origin} unencrypted; give an https endpoint, or unset HF_TOKEN`);
    }
    this.#base = url.href.replace(/\/+$/, '');
    this.#origin = url.origin;
    this.#options = options;
  }

  /**
   * Returns the full hash of the commit that `revision` (a commit, branch or tag) points to now.
   */
  async commitOf(repo: string, revision: string): Promise<string> {
    const { body } = await this.#json(
      `${this.#base}/api/datasets/${repo}/revision/${encodeURIComponent(revision)}`,
      Revision,
    );
    return body.sha;
  }

  async filesOf(repo: string, commit: string): Promise<RemoteFile[]> {
    const files: RemoteFile[] = [];
    let url: string | null = `${this.#base}/api/datasets/${repo}/tree/${commit}?recursive=true`;
    while (url !== null) {
      const page: { body: z.infer<typeof Tree>; next: string | null } = await this.#json(url, Tree);
      for (const { type, path, size, oid, lfs } of page.body) {
        if (type !== 'file') continue;
        // For a file in large-file storage, `oid` identifies only the pointer to it.
        const checksum = lfs ? { sha256: lfs.oid } : { gitSha1: oid };
        files.push({ path, size: lfs?.size ?? size, checksum });
      }
      url = page.next;
    }
    return files;
  }

  /**
   * Makes one attempt. A temporary failure throws a `TransientError`, so that the caller can try
   * again.
   */
  async open(repo: string, commit: string, path: string, headers: Record<string, string>): Promise<OpenedFile> {
    const inRepo = path.split('/').map(encodeURIComponent).join('/');
    return this.#send(`${this.#base}/datasets/${repo}/resolve/${commit}/${inRepo}`, headers);
  }

  async #json<T>(url: string, schema: z.ZodType<T>): Promise<{ body: T; next: string | null }> {
    return withRetries(async () => {
      const { response } = await this.#send(url, { accept: 'application/json' });
      const text = await response.text().catch((cause) => {
        throw new TransientError(`${url}: ${reasonOf(cause)}`, { cause });
      });
      const parsed = schema.safeParse(parseJson(text));
      if (!parsed.success) {
        const fault = z.prettifyError(parsed.error).replaceAll('\n', ' ');
        throw new Error(`${url}: not what a hub answers: ${fault}`);
      }
      const next = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get('link') ?? '')?.[1] ?? null;
      return { body: parsed.data, next: next && new URL(next, url).href };
    }, this.#options);
  }

  /**
   * Follows redirects itself, because only the hub may get the token, and because the hub states
   * the file's checksum before its storage server answers.
   */
  async #send(start: string, headers: Record<string, string>): Promise<OpenedFile> {
    let url = start;
    let hubEtag: string | null = null;
    for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
      const { token, fetch } = this.#options;
      const atHub = new URL(url).origin === this.#origin;
      const authorization = token !== null && atHub ? { authorization: `Bearer ${token}` } : {};
      let response: Response;
      try {
        // In a compressed answer, byte ranges would make no sense.
        response = await fetch(url, {
          headers: { 'accept-encoding': 'identity', 'user-agent': 'plimsoll', ...headers, ...authorization },
          redirect: 'manual',
        });
      } catch (cause) {
        throw new TransientError(`${withoutQuery(url)}: ${reasonOf(cause)}`, { cause });
      }
      if (atHub) hubEtag ??= response.headers.get('x-linked-etag');
      const location = response.headers.get('location');
      if (REDIRECTS.has(response.status) && location !== null) {
        await response.body?.cancel();
        url = new URL(location, url).href;
      } else if (response.ok || response.status === 416) {
        return { response, hubEtag: hubEtag ?? (atHub ? response.headers.get('etag') : null) };
      } else {
        await response.body?.cancel();
        throw this.#failure(response, url);
      }
    }
    throw new Error(`${start}: more than ${MAX_REDIRECTS} redirects`);
  }

  #failure({ status, headers }: Response, url: string): Error {
    const said = headers.get('x-error-message');
    const what = `${withoutQuery(url)}: ${status}${said === null ? '' : ` (${said})`}`;
    if (status === 429 || status === 408 || status >= 500) {
      return new TransientError(what, { retryAfterMs: retryAfterMs(headers.get('retry-after'), Date.now()) });
    }
    if (status === 401 || status === 403) {
      const { token } = this.#options;
      const advice = token === null ? 'set HF_TOKEN to a token of yours' : 'HF_TOKEN does not open it';
      return new Error(`${what}: there is no such data set, or its terms must be accepted on the hub first; ${advice}`);
    }
    if (status === 404) return new Error(`${what}: the hub has no such data set, revision or file`);
    return new Error(what);
  }
}

/** Removes the query, where signed addresses carry their secret. */
function withoutQuery(url: string): string {
  return url.replace(/\?.*$/s, '');
}

/** fetch itself only says "fetch failed". The reason is in the error's cause. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error && cause.message !== '' ? cause.message : message;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
