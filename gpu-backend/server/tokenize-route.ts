/**
 * `POST /v1/tokenize`: the tokens of a text or a conversation, or the text of tokens. The order is
 * signed by the edge for exactly this body, and works once.
 *
 * No tokens are charged for it, so it is bounded here: one at a time, and a short queue.
 *
 * It shows the client's messages as the model reads them and nothing of an expert's own prompt.
 */
import type { Context } from 'hono';
import { contextLengthExceeded, fewestTokens, utf8Bytes } from '#shared/api/context-length.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { promptBytes } from '#shared/protocol/prompt-texts.ts';
import {
  type Detokenized,
  TokenizerWork,
  type Tokens,
  tokenizeKey,
  verifyTokenizeOrder,
} from '#shared/protocol/tokenize.ts';
import type { EngineInfo } from '../engine/engine.ts';
import type { BundleHead } from '../model/load-bundle.ts';
import { orderToken } from './order-token.ts';
import { parseBody } from './parse-body.ts';
import { noteOrder } from './traced-request.ts';
import { createTurns } from './turns.ts';
import { createUsedDirectives } from './used-directives.ts';

/** A text of this many bytes for each token of the context is no prompt that anybody counts. */
const MOST_BYTES_PER_TOKEN = 8;
/** It is the thread that sends all answers' frames. */
const MOST_WAITING = 16;

/** Does the work that the bundle's tokenizer is asked for. */
export type TokenizerWorker = (work: TokenizerWork) => Tokens | Detokenized;

/**
 * Throws `context_length_exceeded` for a text that is too long for the context, whatever its tokens
 * turn out to be: tokenizing a megabyte would hold up everyone else.
 */
export function tokenizerWorker(
  { tokenizer, renderChat }: Pick<BundleHead, 'tokenizer' | 'renderChat'>,
  contextLength: number,
): TokenizerWorker {
  const refuseTooLong = (bytes: number, param: string) => {
    const fewest = fewestTokens(bytes, tokenizer.maxTokenBytes);
    if (fewest >= contextLength) throw contextLengthExceeded(fewest, contextLength, { atLeast: true });
    // Some vocabularies have a token of hundreds of bytes, and then that bounds nothing.
    const most = MOST_BYTES_PER_TOKEN * contextLength;
    if (bytes <= most) return;
    throw new PlimsollError(
      'string_above_max_length',
      `'${param}' has ${bytes} bytes: expected at most ${most}, ${MOST_BYTES_PER_TOKEN} for each token of the context.`,
      { param },
    );
  };
  const plain = (work: Exclude<TokenizerWork, { kind: 'ids' }>): number[] => {
    if (work.kind === 'text') {
      refuseTooLong(utf8Bytes([work.text]), 'prompt');
      return tokenizer.encode(work.text);
    }
    const { messages, tools = [] } = work;
    refuseTooLong(promptBytes({ messages, tools }), 'messages');
    return renderChat(messages, { addGenerationPrompt: work.generation_prompt, tools });
  };
  return (work) => {
    if (work.kind === 'ids') {
      const unknown = work.ids.findIndex((id) => !tokenizer.has(id));
      if (unknown === -1) return { text: tokenizer.decodeAll(work.ids) };
      throw new PlimsollError('invalid_value', `The model has no token ${work.ids[unknown]}.`, {
        param: `tokens[${unknown}]`,
      });
    }
    const ids = work.special ? framed(plain(work), tokenizer) : plain(work);
    return {
      ids,
      strings: work.strings ? ids.map((id) => tokenizer.tokenString(id)) : null,
      context_length: contextLength,
    };
  };
}

function framed(ids: number[], { frame }: Pick<BundleHead['tokenizer'], 'frame'>): number[] {
  if (frame !== null) return [...frame.before, ...ids, ...frame.after];
  throw new PlimsollError(
    'unsupported_value',
    "This model's tokenizer has a post-processor of a kind that is not supported: send 'add_special_tokens': false.",
    { param: 'add_special_tokens' },
  );
}

export function tokenizeRoute({
  tokenize,
  info,
  directiveKeys,
  refuseWhileDraining,
}: {
  /** null: this backend tokenizes nothing for others. */
  tokenize: TokenizerWorker | null;
  info: () => EngineInfo;
  directiveKeys: readonly Uint8Array[];
  refuseWhileDraining: () => void;
}) {
  const used = createUsedDirectives();
  const turns = createTurns({ mostWaiting: MOST_WAITING });
  return async (c: Context): Promise<Response> => {
    refuseWhileDraining();
    const token = orderToken(c.req.header('authorization'));
    const body = new Uint8Array(await c.req.arrayBuffer());
    const keys = await Promise.all(directiveKeys.map(tokenizeKey));
    const order = await verifyTokenizeOrder(token, { keys, body });
    noteOrder(c, order);
    used.take(order.id);
    const work = parseBody(TokenizerWork, body);
    const { model } = info();
    if (work.model !== model || tokenize === null) {
      throw new PlimsollError('model_not_found', `This backend serves ${model}, not ${work.model}.`, {
        param: 'model',
      });
    }
    return c.json(await turns(() => tokenize(work)));
  };
}
