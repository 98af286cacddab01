/**
 * `POST /v1/tokenize` of a backend: the bundle's tokenizer, both ways. Like everything that costs
 * work there, it needs an order of the edge (body-order.ts), under a key of its own.
 */
import * as z from 'zod';
import { MAX_MESSAGES } from '#shared/api/chat-messages.ts';
import { MAX_IDS } from '#shared/api/tokenize.ts';
import { MAX_TOOLS, Tool } from '#shared/api/tool-calls.ts';
import { wellFormed } from '#shared/api/well-formed.ts';
import { type BodyOrder, signBodyOrder, verifyBodyOrder } from './body-order.ts';
import { derivedKey } from './derived-key.ts';
import { Message } from './generate.ts';

export const TOKENIZE_PATH = '/v1/tokenize';

const model = wellFormed.min(1);
/** Whether to add the tokens that the tokenizer puts around a text. */
const special = z.boolean();
/** Whether the answer has the tokens' texts, too. */
const strings = z.boolean();

export const TokenizerWork = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('text'), model, text: wellFormed, special, strings }),
  z.strictObject({
    kind: z.literal('chat'),
    model,
    messages: z.array(Message).min(1).max(MAX_MESSAGES),
    /** What the model is told that it may call. Left out: nothing. */
    tools: z.array(Tool).min(1).max(MAX_TOOLS).optional(),
    generation_prompt: z.boolean(),
    special,
    strings,
  }),
  z.strictObject({ kind: z.literal('ids'), model, ids: z.array(z.int().min(0)).max(MAX_IDS) }),
]);
export type TokenizerWork = z.infer<typeof TokenizerWork>;

/** What comes of text. */
export const Tokens = z.object({
  ids: z.array(z.int().min(0)),
  strings: z.array(z.string()).nullable(),
  /** Of the model: how many tokens of prompt and answer together it takes. */
  context_length: z.int().min(1),
});
export type Tokens = z.infer<typeof Tokens>;

/** What comes of ids. */
export const Detokenized = z.object({ text: z.string() });
export type Detokenized = z.infer<typeof Detokenized>;

const KIND = { typ: 'plimsoll-tokenize+jwt', what: 'tokenize' };

export const tokenizeKey = (directiveKey: Uint8Array) => derivedKey('plimsoll-tokenize/1', directiveKey);

export const signTokenizeOrder = (order: BodyOrder, key: Uint8Array, now?: Date): Promise<string> =>
  signBodyOrder(order, { ...KIND, key, now });

/** As `verifyBodyOrder`. */
export const verifyTokenizeOrder = (
  token: string,
  about: { keys: readonly Uint8Array[]; body: Uint8Array; now?: Date },
): Promise<BodyOrder> => verifyBodyOrder(token, { ...KIND, ...about });
