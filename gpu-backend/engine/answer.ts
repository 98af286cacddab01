/**
 * One answer in the making: two rows of logits in, the events of one token out. Here the gate is asked, the token becomes
 * text, and it is decided whether the answer ends. It knows nothing of batches.
 *
 * The safety expert's row is always there: the budget is counted against it, the receipt reports it, and it is what a closed gate
 * falls back on. Beside it stands, by the line's mode, the helpfulness expert's row or the layers router's.
 */
import {
  addWeight,
  effectiveFloor,
  type GatePolicy,
  type GateStep,
  gateLayersStep,
  gateStep,
  LOG_ZERO,
  NO_WEIGHTS,
  type SamplingParams,
  SPENT_UNBOUNDED,
  startGate,
  type WeightSummary,
} from '#shared/gate/index.ts';
import type { Mode } from '#shared/line/line.ts';
import { StopMatcher } from '#shared/text/stop-matcher.ts';
import { TextStream } from '#shared/text/text-stream.ts';
import type { EngineEvent, EngineRequest } from './engine.ts';
import type { RowOutput, RowSource, Vocabulary } from './experts.ts';

/**
 * The safety weight proposed for a token in the mode `logits`, to be bounded by the policy's floor and ceiling: one for all of
 * them, or what a logits router makes of both rows' last hidden states [d].
 */
export type Proposal = number | ((safetyHidden: Float32Array, helpfulHidden: Float32Array) => number);

export type AnswerOptions = {
  vocabulary: Vocabulary;
  proposal: Proposal;
  /** Tokens of prompt and answer together. */
  contextLength: number;
};

export class Answer {
  readonly promptIds: readonly number[];
  /** Rows it takes in the batch: `safety_only` runs the safety expert alone. */
  readonly rowCount: number;
  /** The token to feed next. */
  lastToken = -1;
  ended = false;

  readonly #eos: number;
  readonly #mode: Mode;
  readonly #proposal: Proposal;
  readonly #policy: GatePolicy;
  readonly #sampling: SamplingParams;
  /** Of the first token. */
  readonly #opening: SamplingParams;
  readonly #maxTokens: number;
  readonly #text: TextStream;
  readonly #stops: StopMatcher;
  #state = startGate();
  #weights: WeightSummary = NO_WEIGHTS;

  constructor(request: EngineRequest, { vocabulary, proposal, contextLength }: AnswerOptions) {
    const { promptIds, maxTokens, stop, sampling, line } = request;
    const { mode, rule, floor, ceiling, opening, budget, earned } = line;
    const room = contextLength - promptIds.length;
    this.promptIds = promptIds;
    this.rowCount = line.action === 'safety_only' ? 1 : 2;
    this.#eos = vocabulary.eos;
    this.#mode = mode;
    this.#proposal = proposal;
    this.#policy = { rule, floor, ceiling, opening, budget, earned };
    this.#sampling = { ...sampling, mask: new Set(vocabulary.banned) };
    // An answer that ends before it begins says nothing; so neither expert can.
    this.#opening = { ...sampling, mask: new Set([...vocabulary.banned, vocabulary.eos]) };
    this.#maxTokens = Math.min(maxTokens ?? room, room);
    this.#text = new TextStream(vocabulary.bytesOf);
    this.#stops = new StopMatcher(stop);
  }

  /** What its rows are to say before the next token, in the order `draw` takes it. Bounds move when the opening ends. */
  sources(): RowSource[] {
    if (this.rowCount === 1) return [{ kind: 'safety' }];
    if (this.#mode === 'layers') {
      const floor = effectiveFloor(this.#policy, this.#state);
      const ceiling = Math.max(floor, this.#policy.ceiling);
      return [{ kind: 'safety' }, { kind: 'layers', bounds: { floor, ceiling } }];
    }
    const hidden = typeof this.#proposal === 'function';
    return [
      { kind: 'safety', hidden },
      { kind: 'helpfulness', hidden },
    ];
  }

  /** Draws one token from what its rows say. Throws a GateError if there is nothing safe to draw from. */
  draw(outputs: readonly RowOutput[]): EngineEvent[] {
    const step = this.#step(outputs);
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

  #step([safety, beside]: readonly RowOutput[]): GateStep {
    const safetyLogits = safety!.logits;
    const logits = beside?.logits ?? null;
    const sampling = this.#state.position === 0 ? this.#opening : this.#sampling;
    const rest = { policy: this.#policy, sampling, state: this.#state };
    // NaN is no share of anything, and closes the gate.
    return this.#mode === 'layers'
      ? gateLayersStep({ safetyLogits, layersLogits: logits, alpha: beside?.alpha ?? Number.NaN, ...rest })
      : gateStep({ safetyLogits, helpfulLogits: logits, proposal: this.#propose(safety!, beside), ...rest });
  }

  #propose(safety: RowOutput, helpful: RowOutput | undefined): number {
    if (typeof this.#proposal === 'number') return this.#proposal;
    return safety.hidden && helpful?.hidden ? this.#proposal(safety.hidden, helpful.hidden) : Number.NaN;
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
