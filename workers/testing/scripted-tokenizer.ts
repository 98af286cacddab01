/** The tokenizer of a scripted backend: every byte is a token, and 256 begins a text. */
import {
  type Detokenized,
  TokenizerWork,
  type Tokens,
  tokenizeKey,
  verifyTokenizeOrder,
} from '#shared/protocol/tokenize.ts';

const BOS = 256;

/** Throws `directive_invalid` unless the token is an order for this body. */
export async function scriptedTokenizer(
  token: string,
  body: Uint8Array,
  { key, contextLength }: { key: Uint8Array; contextLength: number },
): Promise<Tokens | Detokenized> {
  await verifyTokenizeOrder(token, { keys: [await tokenizeKey(key)], body });
  const work = TokenizerWork.parse(JSON.parse(Buffer.from(body).toString()));
  if (work.kind === 'ids') return { text: Buffer.from(work.ids.filter((id) => id !== BOS)).toString() };
  const end = work.kind === 'chat' && work.generation_prompt ? '>' : '';
  const text = work.kind === 'text' ? work.text : work.messages.map(({ content }) => content).join('|') + end;
  const ids = [...(work.special ? [BOS] : []), ...Buffer.from(text)];
  const stringOf = (id: number) => (id === BOS ? '<bos>' : String.fromCharCode(id));
  return { ids, strings: work.strings ? ids.map(stringOf) : null, context_length: contextLength };
}
