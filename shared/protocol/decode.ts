/**
 * `POST /v1/decode` of a backend: the text of prompts that a client sends as token ids. The edge
 * reads it as it reads any prompt, so that ids are no way round its classifier. Like everything
 * there, it needs an order of the edge (body-order.ts).
 */
import * as z from 'zod';
import { wellFormed } from '#shared/api/well-formed.ts';
import { type BodyOrder, signBodyOrder, verifyBodyOrder } from './body-order.ts';
import { derivedKey } from './derived-key.ts';

export const DECODE_PATH = '/v1/decode';

export const DecodeRequest = z.strictObject({
  model: wellFormed.min(1),
  prompts: z.array(z.array(z.int().min(0)).min(1)).min(1),
});
export type DecodeRequest = z.infer<typeof DecodeRequest>;

export const DecodeAnswer = z.object({ model: z.string(), bundle: z.string(), texts: z.array(wellFormed) });
export type DecodeAnswer = z.infer<typeof DecodeAnswer>;

const KIND = { typ: 'plimsoll-decode+jwt', what: 'decode' };

export const decodeKey = (directiveKey: Uint8Array) => derivedKey('plimsoll-decode/1', directiveKey);

export const signDecodeOrder = (order: BodyOrder, key: Uint8Array): Promise<string> =>
  signBodyOrder(order, { ...KIND, key });

/** As `verifyBodyOrder`. */
export const verifyDecodeOrder = (
  token: string,
  about: { keys: readonly Uint8Array[]; body: Uint8Array },
): Promise<BodyOrder> => verifyBodyOrder(token, { ...KIND, ...about });
