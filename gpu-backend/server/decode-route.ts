/** `POST /v1/decode`: the text of token ids, for the edge's classifier. */
import type { Context } from 'hono';
import { PlimsollError } from '#shared/api/errors.ts';
import { type DecodeAnswer, DecodeRequest, decodeKey, verifyDecodeOrder } from '#shared/protocol/decode.ts';
import type { EngineInfo } from '../engine/engine.ts';
import { orderToken } from './order-token.ts';
import { parseBody } from './parse-body.ts';
import { noteOrder } from './traced-request.ts';
import { createUsedDirectives } from './used-directives.ts';

/** The text of a prompt's tokens. Throws a PlimsollError if one of them has none. */
export type DecodePrompt = (ids: readonly number[]) => string;

export function decodeRoute({
  decode,
  info,
  directiveKeys,
}: {
  /** null: this backend takes no prompts without turns. */
  decode: DecodePrompt | null;
  info: () => EngineInfo;
  directiveKeys: readonly Uint8Array[];
}) {
  const used = createUsedDirectives();
  return async (c: Context): Promise<Response> => {
    const token = orderToken(c.req.header('authorization'));
    const body = new Uint8Array(await c.req.arrayBuffer());
    const keys = await Promise.all(directiveKeys.map(decodeKey));
    const order = await verifyDecodeOrder(token, { keys, body });
    noteOrder(c, order);
    used.take(order.id);
    const asked = parseBody(DecodeRequest, body);
    const { model, digest } = info();
    if (asked.model !== model) {
      throw new PlimsollError('model_not_found', `This backend serves ${model}, not ${asked.model}.`, {
        param: 'model',
      });
    }
    if (decode === null) {
      throw new PlimsollError('unsupported_value', `This model takes no 'prompt'.`, { param: 'prompt' });
    }
    const texts = asked.prompts.map((ids) => decode(ids).toWellFormed());
    return c.json({ model, bundle: digest, texts } satisfies DecodeAnswer);
  };
}
