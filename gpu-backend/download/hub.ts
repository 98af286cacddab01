/**
 * A hub as Hugging Face's clients see it. It tells which commit a revision is and which files a
 * commit holds (with size and checksum), and it serves the bytes of a file. `endpoint` may be any
 * server with the same protocol. We support public and gated repositories of data sets and models.
 * We do not use Xet's own transfer protocol, because the hub serves the same bytes over plain HTTP.
 */
import * as z from 'zod';
import { GitBlobSum, Sha256Sum } from '../model/checksum.ts';
import type { OpenedFile, RemoteFile } from './download-file.ts';
import { type Retrying, TransientError, withRetries } from './retry.ts';
import { reasonOf, type Sending, type Sent, send } from './send.ts';

export const PUBLIC_HUB = 'https://huggingface.co';

export type HubOptions = Retrying & Sending & { endpoint: string; token: string | null; kind: keyof typeof KINDS };

/** A page has at most 1,000 files of some 300 bytes each, and no model has a million files. */
const MOST_BYTES = 2 ** 24;
const MOST_PAGES = 1000;

/** What a repository holds, and where the hub keeps such repositories. */
const KINDS = {
  dataset: { what: 'data set', api: 'api/datasets', files: 'datasets/' },
  model: { what: 'model', api: 'api/models', files: '' },
} as const;

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
      `${this.#base}/${this.#kind.api}/${repo}/revision/${encodeURIComponent(revision)}`,
      Revision,
    );
    return body.sha;
  }

  /** Returns all files of a commit, also those in folders. */
  async filesOf(repo: string, commit: string): Promise<RemoteFile[]> {
    const files: RemoteFile[] = [];
    const seen = new Set<string>();
    let url: string | null = `${this.#base}/${this.#kind.api}/${repo}/tree/${commit}?recursive=true`;
    while (url !== null) {
      if (seen.has(url) || seen.size === MOST_PAGES) {
        throw new Error(
          `${url}: not what a hub answers: found page ${seen.size + 1} of a list of files, wanted its end`,
        );
      }
      seen.add(url);
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
    const start = `${this.#base}/${this.#kind.files}${repo}/resolve/${commit}/${inRepo}`;
    const { response, url, linkedEtag } = await this.#send(start, headers);
    const atHub = new URL(url).origin === this.#origin;
    return { response, statedEtag: linkedEtag ?? (atHub ? response.headers.get('etag') : null) };
  }

  async #json<T>(url: string, schema: z.ZodType<T>): Promise<{ body: T; next: string | null }> {
    return withRetries(async () => {
      const { response } = await this.#send(url, { accept: 'application/json' });
      const text = await textOf(response, url).catch((cause: unknown) => {
        this.#options.signal?.throwIfAborted();
        if (cause instanceof TooMuch) throw cause;
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

  #send(url: string, headers: Record<string, string>): Promise<Sent> {
    const { token } = this.#options;
    return send(url, { headers, token, advice: (status) => this.#advice(status) }, this.#options);
  }

  get #kind() {
    return KINDS[this.#options.kind];
  }

  #advice(status: number | 'unreachable'): string {
    const { what } = this.#kind;
    if (status === 'unreachable') {
      return '; HF_ENDPOINT names another hub, and a folder or a file that is already here needs none';
    }
    if (status === 401 || status === 403) {
      const { token } = this.#options;
      const advice = token === null ? 'set HF_TOKEN to a token of yours' : 'HF_TOKEN does not open it';
      return `: there is no such ${what}, or its terms must be accepted on the hub first; ${advice}`;
    }
    return status === 404 ? `: the hub has no such ${what}, revision or file` : '';
  }
}

class TooMuch extends Error {}

/** The text of an answer, unless it goes on and on. */
async function textOf(response: Response, url: string): Promise<string> {
  const decoder = new TextDecoder();
  let bytes = 0;
  let text = '';
  for await (const part of response.body ?? []) {
    bytes += part.length;
    if (bytes > MOST_BYTES) throw new TooMuch(`${url}: not what a hub answers: found more than ${MOST_BYTES} bytes`);
    text += decoder.decode(part, { stream: true });
  }
  return text + decoder.decode();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
