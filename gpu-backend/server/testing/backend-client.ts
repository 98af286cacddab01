/**
 * Server tests talk to a backend through this: a caller with the edge's secret, and the keys that
 * both ends need.
 */
import { type CryptoKey, exportJWK, generateKeyPair, type JSONWebKeySet } from 'jose';
import { type Line, OPEN_LINE } from '#shared/line/line.ts';
import { DIRECTIVE_HEADER, type Directive, directiveKey, signDirective } from '#shared/protocol/directive.ts';
import { Frame, type GenerateBody } from '#shared/protocol/generate.ts';
import { resumeBody } from '#shared/protocol/resume.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { ReceiptPrivateJwk } from '../config.ts';

export const SECRET = 'a secret of at least 32 bytes, for tests';
export const DRAW_SECRET = 'another secret of 32 bytes, for draws';

export async function receiptKeys(): Promise<{ receiptPrivateJwk: ReceiptPrivateJwk; jwks: JSONWebKeySet }> {
  const { privateKey, publicKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  const jwk = async (key: CryptoKey) => ({ ...(await exportJWK(key)), kid: 'test' });
  return {
    receiptPrivateJwk: ReceiptPrivateJwk.parse(await jwk(privateKey)),
    jwks: { keys: [await jwk(publicKey)] },
  };
}

export function generateRequest(changes: Partial<GenerateBody> = {}): GenerateBody {
  return {
    model: 'scripted',
    messages: [{ role: 'user', content: 'hello' }],
    max_tokens: 12,
    stop: [],
    seed: 1,
    temperature: 1,
    top_p: 1,
    expert_logprobs: true,
    ...changes,
  };
}

export type CallOptions = {
  line?: Partial<Line>;
  /** Changes the directive before it is signed. */
  edit?: (directive: Directive) => Directive;
  secret?: string;
  now?: Date;
  /** Sent instead of the signed directive; null sends none. */
  token?: string | null;
  /** The token ids after which the answer goes on. */
  ids?: readonly number[];
  signal?: AbortSignal;
};

/** `POST /v1/generate` as the edge does it. A string body is sent as it is. */
export async function call(url: string, body: GenerateBody | string, options: CallOptions = {}): Promise<Response> {
  const { text, headers } = await signed(body, options);
  return fetch(`${url}/v1/generate`, { method: 'POST', headers, body: text, signal: options.signal ?? null });
}

/** What such a call sends. */
export async function signed(
  body: GenerateBody | string,
  { line, edit = (directive) => directive, secret = SECRET, now = new Date(), token: given, ids }: CallOptions = {},
): Promise<{ text: string; headers: Record<string, string> }> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const directive = edit({
    id: crypto.randomUUID(),
    request: 'req_1',
    tenant: 'acme',
    key: 'main',
    policy: 'sha256:abc',
    classifier: 'c1',
    digest: await sha256Hex(text),
    line: { ...OPEN_LINE, ...line },
    second_look: null,
    resume: null,
  });
  const token = given === undefined ? await signDirective(directive, directiveKey(secret), now) : given;
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (token !== null) headers[DIRECTIVE_HEADER] = token;
  return { text: ids === undefined ? text : resumeBody(text, ids), headers };
}

/** The frames of an answer as they arrive. */
export async function* framesOf(response: Response): AsyncGenerator<Frame, void, void> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body!) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop()!;
    for (const line of lines) yield Frame.parse(JSON.parse(line));
  }
  if (rest !== '') throw new Error(`the answer ended inside a frame: ${rest}`);
}

export async function allFrames(response: Response): Promise<Frame[]> {
  const frames: Frame[] = [];
  for await (const frame of framesOf(response)) frames.push(frame);
  return frames;
}
