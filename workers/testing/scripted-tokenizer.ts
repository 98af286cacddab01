/** The tokenizer of a scripted backend: every byte is a token, and 256 begins a text. */
import type { IncomingHttpHeaders } from 'node:http';
import { PlimsollError } from '#shared/api/errors.ts';
import { type DecodeAnswer, DecodeRequest, decodeKey, verifyDecodeOrder } from '#shared/protocol/decode.ts';
import {
  type Detokenized,
  TokenizerWork,
  type Tokens,
  tokenizeKey,
  verifyTokenizeOrder,
} from '#shared/protocol/tokenize.ts';

const BOS = 256;

/** The answer's body. Throws `directive_invalid` unless the request has an order for this one. */
export async function scriptedTokenizer(
  { authorization = '' }: IncomingHttpHeaders,
  body: Buffer,
  { key, contextLength, isThere }: { key: Uint8Array; contextLength: number; isThere: boolean },
): Promise<string> {
  // As backends of earlier versions say.
  if (!isThere) throw new PlimsollError('unknown_url', 'There is nothing at this address.');
  const token = authorization.slice('Bearer '.length);
  await verifyTokenizeOrder(token, { keys: [await tokenizeKey(key)], body: Uint8Array.from(body) });
  const work = TokenizerWork.parse(JSON.parse(body.toString()));
  if (work.kind === 'ids') {
    const text = Buffer.from(work.ids.filter((id) => id !== BOS)).toString();
    return JSON.stringify({ text } satisfies Detokenized);
  }
  const end = work.kind === 'chat' && work.generation_prompt ? '>' : '';
  const said =
    work.kind === 'chat'
      ? [...(work.tools ?? []).map(({ name }) => name), ...work.messages.map(({ content }) => content)]
      : [];
  const text = work.kind === 'text' ? work.text : said.join('|') + end;
  const ids = [...(work.special ? [BOS] : []), ...Buffer.from(text)];
  const stringOf = (id: number) => (id === BOS ? '<bos>' : String.fromCharCode(id));
  const strings = work.strings ? ids.map(stringOf) : null;
  return JSON.stringify({ ids, strings, context_length: contextLength } satisfies Tokens);
}

/** The text of plain prompts that come as ids, as the answer's body. */
export async function scriptedDecoder(
  { authorization = '' }: IncomingHttpHeaders,
  body: Buffer,
  { key, bundle }: { key: Uint8Array; bundle: string },
): Promise<string> {
  const token = authorization.slice('Bearer '.length);
  await verifyDecodeOrder(token, { keys: [await decodeKey(key)], body: Uint8Array.from(body) });
  const { model, prompts } = DecodeRequest.parse(JSON.parse(body.toString()));
  const texts = prompts.map((ids) => Buffer.from(ids.filter((id) => id !== BOS)).toString());
  return JSON.stringify({ model, bundle, texts } satisfies DecodeAnswer);
}
