/**
 * One answer in the making: two rows of logits in, the events of one token out. Here the gate is asked, the token becomes
 * text, and it is decided whether the answer ends. It knows nothing of batches.
 */
import {
  addWeight,
  type GatePolicy,
  gateStep,
  LOG_ZERO,
  NO_WEIGHTS,
  type SamplingParams,
  SPENT_UNBOUNDED,
  startGate,
  type WeightSummary,
} from '#shared/gate/index.ts';
import type { ExpertRole } from '../model/manifest.ts';
import { TextStream } from '../model/text-stream.ts';
import type { EngineEvent, EngineRequest } from './engine.ts';
import type { Vocabulary } from './row-model.ts';
import { StopMatcher } from './stop-matcher.ts';

export type AnswerOptions = {
  vocabulary: Vocabulary;
  /** The safety weight proposed for every token; the policy's floor and ceiling bound it. */
  proposal: number;
  /** Tokens of prompt and answer together. */
  contextLength: number;
};

export class Answer {
  readonly promptIds: readonly number[];
  /** The rows it needs, in the order `draw` takes them. `safety_only` never runs the other expert. */
  readonly experts: readonly ExpertRole[];
  /** The token to feed next. */
  lastToken = -1;
  ended = false;

  readonly #eos: number;
  readonly #proposal: number;
  readonly #policy: GatePolicy;
  readonly #sampling: SamplingParams;
  readonly #maxTokens: number;
  readonly #text: TextStream;
  readonly #stops: StopMatcher;
  #state = startGate();
  #weights: WeightSummary = NO_WEIGHTS;

  constructor(request: EngineRequest, { vocabulary, proposal, contextLength }: AnswerOptions) {
    const { promptIds, maxTokens, stop, sampling, line } = request;
    const { rule, floor, ceiling, opening, budget } = line;
    const room = contextLength - promptIds.length;
    this.promptIds = promptIds;
    this.experts = line.action === 'safety_only' ? ['safety'] : ['safety', 'helpfulness'];
    this.#eos = vocabulary.eos;
    this.#proposal = proposal;
    this.#policy = { rule, floor, ceiling, opening, budget };
    const bias = new Map(vocabulary.banned.map((id) => [id, Number.NEGATIVE_INFINITY]));
    this.#sampling = { ...sampling, bias };
    this.#maxTokens = Math.min(maxTokens ?? room, room);
    this.#text = new TextStream(vocabulary.bytesOf);
    this.#stops = new StopMatcher(stop);
  }

  /** Draws one token from the logits of its rows, each [V]. Throws a GateError if there is nothing safe to draw from. */
  draw([safetyLogits, helpfulLogits]: readonly Float32Array[]): EngineEvent[] {
    const step = gateStep({
      safetyLogits: safetyLogits!,
      helpfulLogits: helpfulLogits ?? null,
      proposal: this.#proposal,
      policy: this.#policy,
      sampling: this.#sampling,
      state: this.#state,
    });
    this.#state = step.state;
    this.#weights = addWeight(this.#weights, step.weight);
    this.lastToken = step.token;

    const { text, stopped } = this.#stops.push(this.#text.push(step.token));
    const events: EngineEvent[] = [
      {
        type: 'token',
        id: step.token,
        text,
        weight: step.weight,
        floor: step.floor,
        lp_s: logprob(step.logprobSafety),
        lp_h: logprob(step.logprobHelpful),
        lp: logprob(step.logprob),
        spent: nats(step.spent),
      },
    ];
    if (stopped || step.token === this.#eos) events.push(...this.#end('stop'));
    else if (this.#state.position === this.#maxTokens) events.push(...this.#end('length'));
    return events;
  }

  #end(finishReason: 'stop' | 'length'): EngineEvent[] {
    this.ended = true;
    const held = this.#stops.flush();
    const prompt = this.promptIds.length;
    const drawn = this.#state.position;
    const { min, mean, max } = this.#weights;
    return [
      ...(held === '' ? [] : [{ type: 'text' as const, text: held }]),
      {
        type: 'end',
        finish_reason: finishReason,
        usage: { prompt_tokens: prompt, completion_tokens: drawn, total_tokens: prompt + drawn },
        weights: { min, mean, max },
        spent: nats(this.#state.spent),
      },
    ];
  }
}

/** The wire has no infinities: a probability of zero and a spending without bound are null there. */
const logprob = (value: number) => (value <= LOG_ZERO ? null : value);
const nats = (value: number) => (value >= SPENT_UNBOUNDED ? null : value);
