/**
 * An answer that the edge draws itself: at each position, a row of the safety expert and one of the
 * helpfulness expert, the gate, one token. It is the loop of a backend's engine, with its two
 * experts elsewhere, and the same gate, sampling and text.
 *
 * Without the safety expert nothing is drawn: the answer breaks off. Without the helpfulness
 * expert, or if its row does not come in time, the gate closes, the safety expert goes on alone,
 * and the receipt says from where.
 */
import { AnswerSampling } from '#shared/answer/answer-sampling.ts';
import { AnswerText } from '#shared/answer/answer-text.ts';
import type { TokenMask } from '#shared/answer/token-mask.ts';
import { toLogprob, toNats } from '#shared/answer/token-numbers.ts';
import type { Vocabulary } from '#shared/answer/vocabulary.ts';
import type { FinishReason } from '#shared/api/chat-answer.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { MOST_ALLOWED } from '#shared/api/generation-fields.ts';
import type { LookReport, TokenTrace } from '#shared/api/plimsoll-extension.ts';
import {
  addWeight,
  type DrawKey,
  type GatePolicy,
  type GateStep,
  LOG_ZERO,
  NO_WEIGHTS,
  startGate,
} from '#shared/gate/index.ts';
import type { Line } from '#shared/line/line.ts';
import type { ExpertRow } from '#shared/protocol/expert-messages.ts';
import type { GenerateRequest } from '#shared/protocol/generate.ts';
import type { Receipt } from '#shared/protocol/receipt.ts';
import { requestedSampling } from '#shared/protocol/requested-sampling.ts';
import { lineAfterLook, type SecondLook } from '#shared/protocol/second-look.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import type { TokenLogprob } from '#shared/protocol/token-logprob.ts';
import { within } from '../request/within.ts';
import { drawMixed } from './draw-mixed.ts';
import type { ExpertRows } from './expert-rows.ts';
import { propose } from './propose-mixed.ts';

/** What came of the answer. The rest of its receipt is known before. */
export type MixedEnd = Pick<
  Receipt,
  'line' | 'second_look' | 'weights' | 'spent' | 'ran' | 'usage' | 'finish_reason' | 'answer_digest' | 'mixed'
>;

export type MixOptions = {
  /** The directive's. */
  line: Line;
  secondLook: SecondLook | null;
  request: GenerateRequest;
  vocabulary: Vocabulary;
  /** What the answer's draws are made from. */
  key: DrawKey;
  /** k of truncated rows; null if they are whole. */
  topK: number | null;
  /** How long the helpfulness expert's row may come after the safety expert's. */
  besideMs: number;
  /** The answer's tokens, which both experts follow. Empty. */
  ids: number[];
  safety: ExpertRows;
  /** null: the line does not need it, or nobody has it. */
  helpful: ExpertRows | null;
  /** Called when the helpfulness expert is lost. If it throws, the answer ends. */
  onAlone: (why: unknown) => void;
};

type Drawn = { text: string; tokens: TokenTrace[]; logprobs?: TokenLogprob[] };

/** Yields what the client may read, and returns what came of it. Closes both experts in the end. */
export async function* mixAnswer(options: MixOptions): AsyncGenerator<Drawn, MixedEnd, void> {
  const { request, vocabulary, topK, besideMs, ids, safety, onAlone } = options;
  let helpful = options.helpful;
  try {
    const look = options.secondLook === null ? null : await safety.look();
    const { line, refused, report } = lookedAt(options, look);
    const policy = policyOf(line);
    const sampling = samplingOf(options);
    const most = Math.min(safety.start.most_tokens, helpful?.start.most_tokens ?? safety.start.most_tokens);
    const text = new AnswerText({
      vocabulary,
      stop: request.stop,
      maxTokens: most,
      minTokens: request.min_tokens,
      ignoresEnd: request.ignore_eos,
    });
    const ran = { safety: 0, helpfulness: 0 };
    let state = startGate();
    let weights = NO_WEIGHTS;
    let answer = '';
    let finishReason: FinishReason | null = refused ? 'content_filter' : null;
    // Whoever only reads along can leave: under this line, its rows change nothing.
    if (!needsHelpful(line)) {
      helpful?.close();
      helpful = null;
    }

    while (finishReason === null) {
      const besides: Promise<ExpertRow | null> = helpful === null ? Promise.resolve(null) : helpful.row();
      // It is looked at below, whatever becomes of the other row.
      besides.catch(() => undefined);
      const own = await safety.row();
      const beside = await within(besideMs, besides, () => {
        throw tooLate(besideMs);
      }).catch((thrown: unknown) => {
        helpful?.close();
        helpful = null;
        onAlone(thrown);
        return null;
      });
      const { step, isMixed } = drawMixed(own, beside, {
        topK,
        proposal: propose(safety.start.proposal, own, beside),
        policy,
        sampling: sampling.next({ saysSomething: text.saysSomething }),
        state,
        ...(request.logprobs && {
          report: { topLogprobs: request.top_logprobs, experts: request.expert_logprobs },
        }),
      });
      safety.drawn();
      if (isMixed) helpful?.drawn();
      state = step.state;
      weights = addWeight(weights, step.weight);
      sampling.accept(step.token);
      ids.push(step.token);
      ran.safety++;
      if (isMixed) ran.helpfulness++;
      const said = text.push(step.token);
      finishReason = said.ends;
      // Before the client gets it, so that the experts are at work meanwhile.
      if (finishReason === null) {
        safety.take();
        helpful?.take();
      }
      answer += said.text;
      const logprobs = request.logprobs && [logprobOf(step, vocabulary)];
      yield { text: said.text, tokens: [traceOf(step, said.text, request)], ...(logprobs && { logprobs }) };
    }
    const rest = text.flush();
    answer += rest;
    if (rest !== '') yield { text: rest, tokens: [] };

    const prompt = safety.start.prompt_tokens;
    const { min, mean, max } = weights;
    return {
      line,
      second_look: report,
      weights: { min, mean, max },
      spent: toNats(state.spent),
      ran: {
        ...(ran.safety > 0 && { safety: ran.safety }),
        ...(ran.helpfulness > 0 && { helpfulness: ran.helpfulness }),
      },
      usage: { prompt_tokens: prompt, completion_tokens: ids.length, total_tokens: prompt + ids.length },
      finish_reason: finishReason,
      answer_digest: await sha256Hex(answer),
      mixed: { safety: safety.parts, helpfulness: options.helpful?.parts ?? [] },
    };
  } finally {
    safety.close();
    options.helpful?.close();
  }
}

/** Whether the helpfulness expert can change a token under this line. */
export function needsHelpful({ action, floor, budget }: Line): boolean {
  return action === 'mix' && floor < 1 && budget !== 0;
}

/** The line after the safety expert's look at the prompt. Without the look, the answer ends. */
function lookedAt(
  { line, secondLook }: Pick<MixOptions, 'line' | 'secondLook'>,
  look: LookReport | null,
): { line: Line; refused: boolean; report: LookReport | null } {
  if (secondLook === null) return { line, refused: false, report: null };
  if (look === null) throw new PlimsollError('backend_unavailable', 'The backend did not look at the prompt.');
  const { line: tight, refused, tightened, because } = lineAfterLook(line, secondLook, look.categories);
  return { line: tight, refused, report: { ...look, tightened, because } };
}

function policyOf({ rule, floor, ceiling, opening, budget, earned, action }: Line): GatePolicy {
  return { rule, floor: action === 'safety_only' ? 1 : floor, ceiling, opening, budget, earned };
}

function samplingOf({ request, vocabulary, key, safety: { start } }: MixOptions): AnswerSampling {
  const sampling = requestedSampling(request);
  // The edge refuses it before, where it says so better. A grammar that nobody holds must not pass.
  if (sampling.grammar !== undefined) {
    throw new PlimsollError('unsupported_value', 'An answer in the mode "edge" cannot follow a grammar.');
  }
  const asked = { sampling, promptIds: start.prompt_ids ?? [], minTokens: request.min_tokens };
  return new AnswerSampling(asked, { key, vocabulary, mask: maskOf(sampling.allowedIds) });
}

export function maskOf(allowedIds: readonly number[] | undefined): TokenMask | null {
  if (allowedIds === undefined) return null;
  // An id that no vocabulary has is never drawn, and must not make the mask as large as itself.
  const ids = allowedIds.filter((id) => id < MOST_ALLOWED);
  // As arguments of one call, so many ids may be more than a stack holds.
  const largest = ids.reduce((most, id) => Math.max(most, id), 0);
  const bits = new Uint32Array(1 + (largest >> 5));
  for (const id of ids) bits[id >> 5] = (bits[id >> 5] ?? 0) | (1 << (id & 31));
  return { allowed: () => bits, accept: () => {} };
}

export function tooLate(ms: number): PlimsollError {
  return new PlimsollError('overloaded', `The helpfulness expert was more than ${ms} ms late.`);
}

function traceOf(step: GateStep, text: string, { expert_logprobs: tells }: GenerateRequest): TokenTrace {
  return {
    id: step.token,
    text,
    weight: step.weight,
    floor: step.floor,
    lp_s: tells ? toLogprob(step.logprobSafety) : null,
    lp_h: tells ? toLogprob(step.logprobHelpful) : null,
    lp: toLogprob(step.logprob),
    spent: toNats(step.spent),
    ...(step.top && {
      top: step.top.map(({ token, logprob, logprobSafety = LOG_ZERO, logprobHelpful = LOG_ZERO }) => ({
        id: token,
        lp: toLogprob(logprob),
        lp_s: tells ? toLogprob(logprobSafety) : null,
        lp_h: tells ? toLogprob(logprobHelpful) : null,
      })),
    }),
  };
}

function logprobOf({ token, logprob, top = [] }: GateStep, { bytesOf }: Vocabulary): TokenLogprob {
  const likely = (id: number, lp: number) => {
    const bytes = bytesOf(id);
    return { id, bytes: bytes ? [...bytes] : null, lp: toLogprob(lp) };
  };
  return { ...likely(token, logprob), top: top.map((rival) => likely(rival.token, rival.logprob)) };
}
