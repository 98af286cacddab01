/**
 * Whether a server has the bundle's tokenizer: the ids of a plain text, those of the control tokens
 * that the chat template writes, and the bundle's last id. Prompts go to engines as ids, so where
 * only control tokens differ, an engine would read every chat as something else and say nothing.
 */
import { asError } from '../engine/turns.ts';
import type { BundleHead } from '../model/load-bundle.ts';
import type { RemoteEngine } from './ask-engine.ts';

type Head = Pick<BundleHead, 'renderChat' | 'tokenizer' | 'config'>;

/** One to four bytes of UTF-8, a contraction, a number, and white space of three kinds. */
const TEXT = "It's 12 o'clock: a é\n€ 😀\t ok.  The end";

/** Returns undefined if all is well. Throws an Error if the server does not answer. */
export async function tokenizerProblem(
  engine: RemoteEngine,
  url: string,
  { head, signal }: { head: Head; signal: AbortSignal },
): Promise<string | undefined> {
  const text = await engine.tokenizeAt(url, TEXT, signal);
  return (
    (text === null ? undefined : otherText(text, head)) ??
    (text === null ? undefined : await otherControls(engine, url, { head, signal })) ??
    (await missingId(engine, url, { head, signal }))
  );
}

function otherText(found: readonly number[], { tokenizer }: Head): string | undefined {
  const wanted = tokenizer.encode(TEXT);
  const place = wanted.findIndex((id, i) => found[i] !== id);
  if (place === -1 && found.length === wanted.length) return undefined;
  const at = place === -1 ? wanted.length : place;
  return `it has another tokenizer: token ${at} of a text is ${found[at]} there, and ${wanted[at]} in the bundle`;
}

/** They are asked for without what stands between them: tokenizers disagree about spaces there. */
async function otherControls(
  engine: RemoteEngine,
  url: string,
  { head: { renderChat, tokenizer }, signal }: { head: Head; signal: AbortSignal },
): Promise<string | undefined> {
  const chat = (['user', 'assistant', 'user'] as const).map((role) => ({ role, content: 'a' }));
  const wanted = [...new Set(renderChat(chat))].filter((id) => tokenizer.isControl(id));
  if (wanted.length === 0) return undefined;
  const found = (await engine.tokenizeAt(url, tokenizer.decodeAll(wanted), signal)) ?? wanted;
  const place = wanted.findIndex((id, i) => found[i] !== id);
  if (place === -1) return undefined;
  const text = JSON.stringify(tokenizer.decodeAll([wanted[place]!]));
  return `it has another tokenizer: ${text} is ${found[place]} there, and ${wanted[place]} in the bundle`;
}

/** An engine with fewer tokens refuses it, or answers with nonsense. */
async function missingId(
  engine: RemoteEngine,
  url: string,
  { head: { renderChat, config }, signal }: { head: Head; signal: AbortSignal },
): Promise<string | undefined> {
  const last = config.vocab_size - 1;
  // What has another reason than this id is told of by the question without it.
  const ids = renderChat([{ role: 'user', content: 'a' }]);
  await engine.nextAt(url, ids, signal);
  try {
    await engine.nextAt(url, [...ids, last], signal);
    return undefined;
  } catch (thrown) {
    signal.throwIfAborted();
    return `it does not take token ${last}, the bundle's last: ${asError(thrown).message}`;
  }
}
