/**
 * One answer in the making: the outputs of two experts go in, and the events of one token come out.
 * This is where we ask the gate, turn the token into text and decide whether the answer ends. It
 * knows nothing about batches. About sequences, it knows only what to feed them.
 *
 * The line's mode decides what runs next to the safety expert: the helpfulness expert or the layers
 * mixture. Under `safety_only`, the safety expert runs alone.
 */
import type { FinishReason } from '#shared/api/chat-answer.ts';
import {
  addWeight,
  effectiveFloor,
  type GatePolicy,
  type GateState,
  LOG_ZERO,
  NO_WEIGHTS,
  type RunningWeights,
  type SamplingParams,
  SPENT_UNBOUNDED,
  startGate,
} from '#shared/gate/index.ts';
import type { Line, Mode } from '#shared/line/line.ts';
import { StopMatcher } from '#shared/text/stop-matcher.ts';
import { TextStream } from '#shared/text/text-stream.ts';
import type { AnswerState } from './answer-state.ts';
import { askGate, type Proposal } from './ask-gate.ts';
import type { EngineEvent, EngineRequest } from './engine.ts';
import type { Output, Source, WeightBounds } from './experts.ts';
import type { Vocabulary } from './vocabulary.ts';

export type AnswerOptions = {
  vocabulary: Vocabulary;
  proposal: Proposal;
  /** The most tokens that prompt and answer may have together in any row. */
  contextLength: number;
};

/** The sources whose predictions make up an answer under this line, the safety expert first. */
export function sourcesOf({ action, mode }: Pick<Line, 'action' | 'mode'>): Source[] {
  if (action === 'safety_only') return ['safety'];
  return ['safety', mode === 'layers' ? 'layers' : 'helpfulness'];
}

/** What this source's row reads before the answer. */
function promptOf({ promptIds, rowPrompts }: EngineRequest, source: Source): readonly number[] {
  return rowPrompts?.[source] ?? promptIds;
}

/** The number of tokens in the longest of these sources' prompts. */
export function longestPrompt(request: EngineRequest, sources: readonly Source[]): number {
  return Math.max(...sources.map((source) => promptOf(request, source).length));
}

/**
 * Tokens to feed to each source's sequence, in the order of `sources`, and the bounds under which a
 * layers sequence reads them.
 */
export type Feed = { rows: readonly (readonly number[])[]; bounds: WeightBounds };

export class Answer {
  /** The client's tokens. */
  readonly promptIds: readonly number[];
  /** What `sourcesOf` returns for its line. */
  readonly sources: readonly Source[];
  /** Whether it needs hidden states. */
  readonly hidden: boolean;
  ended = false;

  /** What each source reads before the answer, in the order of `sources`. */
  readonly #prompts: readonly (readonly number[])[];
  /** The number of tokens in the longest of them. */
  readonly #longestPrompt: number;
  readonly #eos: ReadonlySet<number>;
  readonly #mode: Mode;
  readonly #proposal: Proposal;
  readonly #policy: GatePolicy;
  readonly #sampling: SamplingParams;
  /** Used for as long as the answer has said nothing. */
  readonly #wordless: SamplingParams;
  readonly #maxTokens: number;
  readonly #text: TextStream;
  readonly #dropsFirstSpace: boolean;
  readonly #stops: StopMatcher;
  readonly #ids: number[];
  #saysSomething: boolean;
  #state: GateState;
  #weights: RunningWeights;

  /**
   * Begins an answer to a request that check-request.ts has checked, or continues the one in
   * `request.resume`. Throws a GateError if the account of the resumed answer makes no sense.
   */
  constructor(request: EngineRequest, { vocabulary, proposal, contextLength }: AnswerOptions) {
    const { promptIds, maxTokens, stop, sampling, line, resume } = request;
    const { mode, rule, floor, ceiling, opening, budget, earned } = line;
    this.promptIds = promptIds;
    this.sources = sourcesOf(line);
    this.#prompts = this.sources.map((source) => promptOf(request, source));
    this.#longestPrompt = longestPrompt(request, this.sources);
    const room = contextLength - this.#longestPrompt;
    this.hidden = typeof proposal === 'function' && this.sources.includes('helpfulness');
    this.#eos = new Set(vocabulary.eos);
    this.#dropsFirstSpace = vocabulary.dropsFirstSpace ?? false;
    this.#mode = mode;
    this.#proposal = proposal;
    this.#policy = { rule, floor, ceiling, opening, budget, earned };
    this.#sampling = { ...sampling, mask: new Set(vocabulary.banned) };
    // An answer must say something before it ends, so until then neither expert can end it.
    this.#wordless = { ...sampling, mask: new Set([...vocabulary.banned, ...vocabulary.eos]) };
    this.#maxTokens = Math.min(maxTokens ?? room, room);
    this.#text = new TextStream(vocabulary.bytesOf, resume?.text);
    this.#stops = new StopMatcher(stop, resume?.stops);
    this.#ids = [...(resume?.ids ?? [])];
    const before = new TextStream(vocabulary.bytesOf);
    this.#saysSomething = this.#ids.some((id) => isWord(before.push(id)));
    this.#state = startGate(this.#ids.length, resume?.spent);
    this.#weights = resume?.weights ?? NO_WEIGHTS;
  }

  /** The tokens of the longest row so far, prompt and answer together. */
  get length(): number {
    return this.#longestPrompt + this.#ids.length;
  }

  /** The most tokens that the longest row may have: what the request may cost. */
  get most(): number {
    return this.#longestPrompt + this.#maxTokens;
  }

  /** What another `Answer` to the same request needs to go on from here. */
  state(): AnswerState {
    return {
      ids: [...this.#ids],
      spent: this.#state.spent,
      weights: this.#weights,
      text: this.#text.state(),
      stops: this.#stops.state(),
    };
  }

  /**
   * Everything that new sequences must be fed before the next token: their prompts and the tokens
   * drawn so far. It has two parts if a layers sequence read the opening under the opening's own
   * bounds.
   */
  history(): Feed[] {
    const position = this.#ids.length;
    // A token is fed under the bounds of the token drawn after it, so the opening's last token is
    // not read under the opening's bounds.
    const opening = Math.min(position, Math.max(0, this.#policy.opening.tokens - 1));
    const cut = this.sources.includes('layers') ? opening : position;
    const read = this.#ids.slice(0, cut);
    const begin = { rows: this.#prompts.map((prompt) => [...prompt, ...read]), bounds: this.#boundsAt(cut) };
    return cut === position ? [begin] : [begin, this.#inEveryRow(this.#ids.slice(cut))];
  }

  /** The last token, for sequences that have read everything before it. */
  next(): Feed {
    return this.#inEveryRow(this.#ids.slice(-1));
  }

  /**
   * Draws one token from the experts' outputs. Throws a GateError if there is nothing safe to draw
   * from.
   *
   * @param beside null if that expert failed or was not asked; then the gate closes
   */
  draw(safety: Output, beside: Output | null): EngineEvent[] {
    const step = askGate({
      mode: this.#mode,
      safety,
      beside,
      proposal: this.#proposal,
      policy: this.#policy,
      sampling: this.#saysSomething ? this.#sampling : this.#wordless,
      state: this.#state,
    });
    this.#state = step.state;
    this.#weights = addWeight(this.#weights, step.weight);
    this.#ids.push(step.token);

    const pushed = this.#text.push(step.token);
    const completed = this.#dropsFirstSpace && this.#ids.length === 1 ? pushed.replace(/^ /, '') : pushed;
    this.#saysSomething ||= isWord(completed);
    const { text, stopped } = this.#stops.push(completed);
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
    if (stopped || this.#eos.has(step.token)) events.push(...this.#end('stop'));
    else if (this.#state.position === this.#maxTokens) events.push(...this.#end('length'));
    return events;
  }

  #inEveryRow(ids: readonly number[]): Feed {
    return { rows: this.sources.map(() => ids), bounds: this.#boundsAt(this.#ids.length) };
  }

  #boundsAt(position: number): WeightBounds {
    const floor = effectiveFloor(this.#policy, { position });
    return { floor, ceiling: Math.max(floor, this.#policy.ceiling) };
  }

  #end(finishReason: FinishReason): EngineEvent[] {
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

/** White space and half characters do not count as words. */
const isWord = (text: string) => text.trim() !== '';

/** The wire has no infinities, so a probability of zero and unbounded spending become null. */
const logprob = (value: number) => (value <= LOG_ZERO ? null : value);
const nats = (value: number) => (value >= SPENT_UNBOUNDED ? null : value);
