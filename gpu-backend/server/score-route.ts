/**
 * `POST /v1/score`: what the bundle's reward and cost heads make of an answer. The order is signed
 * by the edge for exactly this body, and works once.
 */
import type { Context } from 'hono';
import { contextLengthExceeded, fewestTokens, utf8Bytes } from '#shared/api/context-length.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { type ScoreAnswer, ScoreRequest, scoreKey, verifyScoreOrder } from '#shared/protocol/score.ts';
import type { EngineInfo } from '../engine/engine.ts';
import type { BundleHead } from '../model/load-bundle.ts';
import type { Scorer } from '../scores/scorer.ts';
import { orderToken } from './order-token.ts';
import { parseBody } from './parse-body.ts';
import { noteOrder } from './traced-request.ts';
import { createUsedDirectives } from './used-directives.ts';

/** What a backend with heads has besides its engine. */
export type Scoring = { scorer: Scorer; encode: EncodeConversation };

/** A whole conversation, with the end of its answer, as token ids. */
export type EncodeConversation = (asked: Pick<ScoreRequest, 'messages' | 'answer'>) => number[];

/** As training encodes it. Throws `context_length_exceeded` if it is longer than the context. */
export function conversationEncoder(
  { tokenizer, renderChat, eosId }: Pick<BundleHead, 'tokenizer' | 'renderChat' | 'eosId'>,
  contextLength: number,
): EncodeConversation {
  return ({ messages, answer }) => {
    const bytes = utf8Bytes([...messages.map(({ content }) => content), answer]);
    const fewest = fewestTokens(bytes, tokenizer.maxTokenBytes);
    if (fewest >= contextLength) throw contextLengthExceeded(fewest, contextLength, { atLeast: true });
    const ids = [...renderChat(messages), ...tokenizer.encode(answer), eosId];
    if (ids.length > contextLength) throw contextLengthExceeded(ids.length, contextLength);
    return ids;
  };
}

export function scoreRoute({
  scoring,
  info,
  directiveKeys,
  refuseWhileDraining,
}: {
  /** null: the bundle has no heads. */
  scoring: Scoring | null;
  info: () => EngineInfo;
  directiveKeys: readonly Uint8Array[];
  refuseWhileDraining: () => void;
}) {
  const used = createUsedDirectives();
  return async (c: Context): Promise<Response> => {
    refuseWhileDraining();
    const token = orderToken(c.req.header('authorization'));
    const body = new Uint8Array(await c.req.arrayBuffer());
    const keys = await Promise.all(directiveKeys.map(scoreKey));
    const order = await verifyScoreOrder(token, { keys, body });
    noteOrder(c, order);
    used.take(order.id);
    const asked = parseBody(ScoreRequest, body);
    const { model, digest } = info();
    if (asked.model !== model) {
      throw new PlimsollError('model_not_found', `This backend serves ${model}, not ${asked.model}.`, {
        param: 'model',
      });
    }
    if (scoring === null) throw withoutHeads(model);
    const ids = scoring.encode(asked);
    const found = await scoring.scorer.score(ids);
    if (found.digest !== digest) {
      throw new PlimsollError('backend_unavailable', 'The bundle has changed on disk. Please try again.');
    }
    return c.json({ model, bundle: digest, ...found.scores, tokens: ids.length } satisfies ScoreAnswer);
  };
}

function withoutHeads(model: string): PlimsollError {
  return new PlimsollError(
    'unsupported_value',
    `The bundle of ${model} has no reward and cost heads. 'plimsoll train export --scores' puts them into one.`,
    { param: 'model' },
  );
}
