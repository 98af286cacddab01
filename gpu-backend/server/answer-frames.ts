/**
 * Turns the engine's events into the frames of a request's answers. Each end gets its receipt here,
 * signed over what was promised (the directive) and what happened (weights, spending, digests). A
 * request that breaks says so in its last frame.
 */
import { createHash } from 'node:crypto';
import { toPlimsollError } from '#shared/api/errors.ts';
import { withPlain } from '#shared/api/sampling.ts';
import type { Directive } from '#shared/protocol/directive.ts';
import type { Frame, GenerateRequest } from '#shared/protocol/generate.ts';
import { grammarDigest } from '#shared/protocol/grammar-digest.ts';
import { partsBefore } from '#shared/protocol/resume.ts';
import { digestOfSignedLine } from '#shared/protocol/signed-line.ts';
import type { AnswerState } from '../engine/answer-state.ts';
import type { EngineEvent, EngineInfo } from '../engine/engine.ts';
import { frameMarks } from './frame-marks.ts';
import type { Log } from './log.ts';
import { logFailure } from './log-failure.ts';
import type { RequestMetrics } from './metrics.ts';
import type { SignReceipt } from './receipt-signer.ts';

export type AnswerContext = {
  directive: Directive;
  request: GenerateRequest;
  /** Which of the request's answers are drawn here: from this one on, and how many. */
  choices: { first: number; count: number };
  info: EngineInfo;
  backendId: string;
  /** The id of the secret that the draws depend on. */
  draws: string;
  /** What the MACs of frames are made with. */
  frameKey: Uint8Array;
  /** Where the answer begins here, if another backend began it. */
  resume: AnswerState | null;
  sign: SignReceipt;
  metrics: RequestMetrics;
  /** Aborted once the client is gone. Then there is nobody to tell. */
  signal: AbortSignal;
  log: Log;
  /** Called once, at the end: `ended`, `cancelled`, or the code of an error. */
  over: (outcome: string) => void;
};

export async function* answerFrames(
  events: AsyncIterable<EngineEvent>,
  context: AnswerContext,
): AsyncGenerator<Frame, void, void> {
  const { info, backendId, draws, resume, metrics, signal, log } = context;
  const { resume: state, ...directive } = context.directive;
  const about = { directive, bundle: info.digest, draws, backend: backendId, resume };
  const parts = state === null ? [] : partsBefore(state);
  const { first, count } = context.choices;
  const answers = Array.from({ length: count }, (_, i) => ({
    digest: createHash('sha256'),
    mark: frameMarks(context.frameKey, { ...about, parts, choice: first + i }),
  }));
  let finished = false;
  let outcome = 'ended';
  try {
    for await (const event of events) {
      if (event.type === 'waiting' || event.type === 'reading' || event.type === 'echo') {
        yield event;
        continue;
      }
      if (event.type === 'start') {
        const { text = '', ...start } = event;
        answers[0]!.digest.update(text);
        metrics.accepted(start.prompt_tokens, { isResumed: resume !== null });
        yield { ...start, id: directive.request, model: info.model, bundle: info.digest, backend: backendId, draws };
        continue;
      }
      if (event.type === 'row') throw new Error('found a row in an answer that asks for none');
      const answer = answers[event.choice ?? 0]!;
      if (event.type === 'end') {
        const receipt = await context.sign(await receiptOf(event, answer.digest.digest('hex'), context));
        metrics.ended(event);
        finished = event.remaining === undefined;
        const { line: _line, ...frame } = event;
        yield { ...frame, receipt };
        if (finished) return;
        continue;
      }
      answer.digest.update(event.text);
      if (event.type === 'text') {
        yield event;
        continue;
      }
      const { ran: _ran, second_look: _look, ...token } = event;
      metrics.token(token);
      yield { ...token, mark: answer.mark(event) };
    }
  } catch (thrown) {
    if (signal.aborted) return;
    finished = true;
    const error = toPlimsollError(thrown);
    outcome = error.code;
    metrics.failed(error.code);
    logFailure(log, `request ${directive.request}`, error);
    yield { type: 'error', code: error.code, message: error.message };
  } finally {
    if (!finished) metrics.cancelled();
    context.over(finished ? outcome : 'cancelled');
  }
}

async function receiptOf(
  end: Extract<EngineEvent, { type: 'end' }>,
  answerDigest: string,
  { directive, request, choices, info, backendId, draws }: AnswerContext,
): Promise<Parameters<SignReceipt>[0]> {
  const { resume } = directive;
  const to = end.usage.completion_tokens;
  return {
    request: directive.request,
    directive: directive.id,
    tenant: directive.tenant,
    key: directive.key,
    policy: directive.policy,
    classifier: directive.classifier,
    model: info.model,
    bundle: info.digest,
    experts: info.experts,
    backend: backendId,
    parts:
      resume === null
        ? []
        : [
            ...partsBefore(resume),
            { backend: backendId, directive: directive.id, from: resume.position, to, spent: end.spent },
          ],
    draws,
    line: end.line,
    signed_line: await digestOfSignedLine(directive),
    second_look: end.second_look,
    top_k: info.topK,
    weights: end.weights,
    spent: end.spent,
    ran: end.ran,
    usage: end.usage,
    finish_reason: end.finish_reason,
    choice: choices.first + (end.choice ?? 0),
    choices: request.n,
    seed: request.seed,
    max_tokens: request.max_tokens,
    sampling: withPlain(request),
    ...(request.grammar && { grammar: await grammarDigest(request.grammar) }),
    prompt_digest: directive.digest,
    answer_digest: answerDigest,
  };
}
