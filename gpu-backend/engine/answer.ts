/**
 * One answer in the making: the outputs of two experts go in, and the events of one token come out.
 * This is where we ask the gate, turn the token into text and decide whether the answer ends. It
 * knows nothing about batches. About sequences, it knows only what to feed them.
 *
 * The line decides which experts are asked; see needed-sources.ts.
 */
import { AnswerSampling } from '#shared/answer/answer-sampling.ts';
import { AnswerText } from '#shared/answer/answer-text.ts';
import type { Vocabulary } from '#shared/answer/vocabulary.ts';
import type { FinishReason } from '#shared/api/chat-answer.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import type { LookReport } from '#shared/api/plimsoll-extension.ts';
import {
  addWeight,
  type DrawKey,
  type GateState,
  NO_WEIGHTS,
  type RunningWeights,
  startGate,
} from '#shared/gate/index.ts';
import type { Ran } from '#shared/protocol/ran.ts';
import type { Span } from '../model/looked-messages.ts';
import type { ExpertRole } from '../model/manifest.ts';
import type { Probe } from '../model/probe.ts';
import { endEvents, tokenEvent } from './answer-events.ts';
import { type Feed, historyOf, nextOf, prefixOf, type ReadAnswer } from './answer-feeds.ts';
import type { AnswerState } from './answer-state.ts';
import { askGate, type Proposal } from './ask-gate.ts';
import { Echo } from './echo.ts';
import type { EngineEvent, EngineRequest, TakenToken } from './engine.ts';
import type { Output, Prediction, Prefix, Source } from './experts.ts';
import { type KvMemory, mostTokens } from './kv-memory.ts';
import { LookedLine } from './looked-line.ts';
import { promptsOf, sourcesOf } from './needed-sources.ts';
import { type HalfOf, RowTeller } from './row-teller.ts';
import { allowedTokens, type MaskOf } from './token-mask.ts';

export type AnswerOptions = {
  vocabulary: Vocabulary;
  proposal: Proposal;
  /** Looks at prompts a second time, where a request asks for it. */
  probe?: Probe | null;
  /** The most tokens that prompt and answer may have together in any row. */
  contextLength: number;
  /** k if the experts' rows are truncated, or null. */
  topK?: number | null;
  /** The memory for keys and values; null if nothing bounds it. */
  memory?: KvMemory | null;
  /** Makes each answer's mask. The default knows `allowedIds`, and throws for a grammar. */
  maskOf?: MaskOf;
  /** Which of the request's answers this is, from 0. */
  choice?: number;
  /** An expert's half of a logits router; see `RowTeller`. */
  halfOf?: HalfOf;
};

/** What the experts say. A source that failed or was not asked is left out. */
export type Outputs = Partial<Readonly<Record<Source, Output>>>;
/** The same after one token. */
export type Predictions = Partial<Readonly<Record<Source, Prediction>>>;

export class Answer {
  /** The client's tokens. */
  readonly promptIds: readonly number[];
  /** Whether it needs hidden states. */
  readonly hidden: boolean;
  /** What is told of the prompt; null if nothing. */
  readonly echo: Echo | null;
  ended = false;
  /** How many of the client's prompt tokens no row had to read. */
  cachedTokens = 0;

  readonly #request: EngineRequest;
  readonly #topK: number | null;
  readonly #choice: number;
  readonly #vocabulary: Vocabulary;
  readonly #proposal: Proposal;
  readonly #looked: LookedLine;
  readonly #sampling: AnswerSampling;
  readonly #maxTokens: number;
  /** Of a request that asks for rows; null of one that draws here. */
  readonly #teller: RowTeller | null;
  readonly #text: AnswerText;
  readonly #ids: number[] = [];
  #state: GateState;
  #weights: RunningWeights;
  #sources: readonly Source[];
  readonly #ran: Ran;
  /** The text of the tokens that were drawn elsewhere, as far as it is certain. */
  #textBefore = '';
  /** How those tokens ended it; null if they did not. */
  #endBefore: FinishReason | null = null;

  /**
   * Begins an answer to a request that check-request.ts has checked, or continues the one in
   * `request.resume`. Throws a GateError if the account of the resumed answer makes no sense, and a
   * PlimsollError if the request leaves no token to answer with, or if the resumed answer goes on
   * after its end.
   */
  constructor(
    request: EngineRequest,
    {
      vocabulary,
      proposal,
      probe = null,
      contextLength,
      topK = null,
      memory = null,
      maskOf = allowedTokens,
      choice = 0,
      halfOf,
    }: AnswerOptions,
  ) {
    const { promptIds, maxTokens, stop, line, resume } = request;
    this.promptIds = promptIds;
    this.#request = request;
    this.#proposal = proposal;
    this.#looked = new LookedLine(request, probe);
    if (resume?.look) this.#looked.take(resume.look);
    this.#topK = topK;
    this.#state = startGate(resume?.ids.length, resume?.spent);
    this.#sources = this.#needed();
    this.#teller = request.rows ? new RowTeller(request, { vocabulary, halfOf, said: resume?.ids ?? [] }) : null;
    this.hidden =
      typeof proposal === 'function' && (this.#teller !== null || (line.mode === 'logits' && this.#sources.length > 1));
    const isEchoed = request.echo === true && choice === 0 && resume === undefined;
    this.echo = isEchoed ? new Echo(request, { vocabulary, proposal }) : null;
    this.#choice = choice;
    this.#vocabulary = vocabulary;
    this.#sampling = new AnswerSampling(request, { key: keyOf(request, choice), vocabulary, mask: maskOf(request) });
    this.#maxTokens = mostTokens(maxTokens, { ...this.#sizeAtStart(), contextLength, memory });
    this.#text = new AnswerText({
      vocabulary,
      stop,
      maxTokens: this.#maxTokens,
      ...(request.minTokens !== undefined && { minTokens: request.minTokens }),
      ignoresEnd: request.ignoresEnd ?? false,
      followsPrompt: request.echo ?? false,
    });
    for (const id of resume?.ids ?? []) this.#takeUp(id);
    this.#weights = resume?.weights ?? NO_WEIGHTS;
    this.#ran = { ...resume?.ran };
  }

  /**
   * The sources that the next token needs. The first one is the one it cannot do without. A source
   * may leave as the answer grows, and never comes back.
   */
  get sources(): readonly Source[] {
    return this.#sources;
  }

  /** The safety expert's row must have read the prompt by then, with sums over `lookSpans`. */
  get looks(): boolean {
    return this.#looked.looks;
  }

  /** Whether the safety expert's row reads the prompt first, and a layers row after the look. */
  get looksFirst(): boolean {
    return this.looks && this.#sources.includes('layers');
  }

  get lookSpans(): readonly Span[] {
    return this.#looked.spans;
  }

  /** Whether the look has refused it. Then it has only an end. */
  get refused(): boolean {
    return this.#looked.refused;
  }

  /** See `LookedLine.look`. The sources follow from the new line. */
  look(sums: readonly (Float32Array | null)[]): void {
    this.#looked.look(sums);
    this.#sources = this.#needed();
  }

  /** Takes over what the look at the same prompt has found for another answer. */
  lookLike({ report, sources }: { report: LookReport | null; sources: readonly Source[] }): void {
    if (!this.looks || report === null) return;
    this.#looked.take(report);
    this.#sources = sources;
  }

  /** What a resumed answer said before, as far as it was certain; null of one that begins here. */
  get textBefore(): string | null {
    return this.#request.resume === undefined ? null : this.#textBefore;
  }

  /** Whether the tokens of a resumed answer end it. Then it only has to `finish`. */
  get isOver(): boolean {
    return this.#endBefore !== null;
  }

  /** The last events of an answer that is over. */
  finish(): EngineEvent[] {
    if (this.#endBefore === null) throw new Error('the answer goes on');
    return this.#end(this.#endBefore);
  }

  get report(): LookReport | null {
    return this.#looked.report;
  }

  /** The most tokens that it may draw. */
  get mostDrawn(): number {
    return this.#maxTokens;
  }

  /** The tokens drawn so far. */
  get ids(): readonly number[] {
    return this.#ids;
  }

  /** How many tokens it may still draw. */
  get left(): number {
    return this.#maxTokens - this.#ids.length;
  }

  /** How many tokens a source's row has read once only the last token drawn is left to read. */
  readLength(source: Source): number {
    const [prompt] = promptsOf(this.#request, [source]);
    return prompt!.length + Math.max(0, this.#ids.length - 1);
  }

  /** The most tokens that each source's row may have, prompt and answer together. */
  get mostTokens(): readonly number[] {
    return promptsOf(this.#request, this.#sources).map(({ length }) => length + this.#maxTokens);
  }

  /** What another `Answer` to the same request needs to go on from here. */
  state(): AnswerState {
    return {
      ids: [...this.#ids],
      spent: this.#state.spent,
      weights: this.#weights,
      ran: { ...this.#ran },
      ...(this.report && { look: this.report }),
    };
  }

  /** See `historyOf`. */
  history(): Feed[] {
    return historyOf(this.#read, { apart: this.looksFirst });
  }

  /** See `prefixOf`. */
  prefix(source: Source, { missing }: { missing: number }): Omit<Prefix, 'scope'> {
    return prefixOf(this.#read, { source, missing });
  }

  /** How many of the client's own tokens are among the first `length` of a row, at the least. */
  ownTokens(source: Source, length: number): number {
    const [prompt] = promptsOf(this.#request, [source]) as [readonly number[]];
    const own = this.promptIds.length;
    return Math.min(own, Math.max(0, length - (prompt.length - own)));
  }

  /** The last token, for sequences that have read everything before it; and a draft, if any. */
  next(draft: readonly number[] = []): Feed {
    return nextOf(this.#read, draft);
  }

  /** The expert that its tokens have come from rather than from the other one. */
  get leaning(): ExpertRole {
    return this.#weights.count > 0 && this.#weights.mean > 0.5 ? 'safety' : 'helpfulness';
  }

  /** Whether it draws nothing, and tells rows. */
  get tellsRows(): boolean {
    return this.#teller !== null;
  }

  /** Whether it waits to be told what was drawn. */
  get pauses(): boolean {
    return this.#teller?.pauses === true;
  }

  /**
   * What was drawn at a position of an answer that tells rows. Returns whether its row has to
   * forget what it has read beyond the token before.
   */
  take(taken: TakenToken): boolean {
    if (this.#teller === null) throw new Error('only an answer that tells rows is told what was drawn');
    return this.#teller.take(this.#ids, taken);
  }

  /**
   * Draws one token from the experts' predictions. Throws a GateError if there is nothing safe to
   * draw from.
   */
  draw(predictions: Predictions): EngineEvent[] {
    if (this.#teller !== null) return this.#tell(this.#teller, predictions);
    const { topLogprobs, expertLogprobs = true } = this.#request;
    const { mode } = this.#looked.line;
    const safety = predictions.safety ?? null;
    const beside = predictions[mode === 'layers' ? 'layers' : 'helpfulness'] ?? null;
    const step = askGate({
      mode,
      safety,
      beside,
      proposal: this.#proposal,
      policy: this.#looked.policy,
      sampling: this.#sampling.next({ saysSomething: this.#text.saysSomething }),
      state: this.#state,
      ownLogprobs: expertLogprobs,
      ...(topLogprobs && { report: { topLogprobs, experts: expertLogprobs } }),
    });
    this.#state = step.state;
    this.#weights = addWeight(this.#weights, step.weight);
    this.#sampling.accept(step.token);
    for (const source of this.#sources) {
      if (predictions[source]) this.#ran[source] = (this.#ran[source] ?? 0) + 1;
    }
    this.#sources = this.#needed();

    const { text, ends } = this.#append(step.token);
    const events: EngineEvent[] = [
      tokenEvent(step, {
        request: this.#request,
        choice: this.#choice,
        vocabulary: this.#vocabulary,
        text,
        ran: this.#ran,
        look: this.#ids.length === 1 ? this.report : null,
      }),
    ];
    if (ends !== null) events.push(...this.#end(ends));
    return events;
  }

  #tell(teller: RowTeller, predictions: Predictions): EngineEvent[] {
    const [source] = this.#sources;
    const isFirst = !teller.hasTold;
    // Without its prediction, the job has ended the answer.
    const row = teller.tell(this.#ids, predictions[source!]!, { most: this.#maxTokens });
    return [{ type: 'row', row, ...(this.report && isFirst && { second_look: this.report }) }];
  }

  /** Goes on with this token. Returns the text that is certain now, and how it ends the answer. */
  #append(id: number): { text: string; ends: FinishReason | null } {
    this.#ids.push(id);
    return this.#text.push(id);
  }

  /** Goes on with a token that was drawn elsewhere. */
  #takeUp(id: number): void {
    if (this.#endBefore !== null) {
      throw new PlimsollError('invalid_request', 'The answer to be resumed goes on after its end.');
    }
    const { text, ends } = this.#append(id);
    this.#textBefore += text;
    this.#endBefore = ends;
  }

  /** The events of an answer that the look has refused. */
  refuse(): EngineEvent[] {
    return this.#end('content_filter');
  }

  #needed(): readonly Source[] {
    return sourcesOf(this.#looked.line, { ...this.#asking, spent: this.#state.spent, looks: this.looks });
  }

  get #asking() {
    const proposal = typeof this.#proposal === 'number' ? this.#proposal : null;
    return { proposal, topK: this.#topK, only: this.#request.rows?.expert };
  }

  /** How long an answer may get does not depend on where it is resumed. */
  #sizeAtStart(): { longest: number; rows: number } {
    const looks = this.#request.secondLook !== undefined;
    const prompts = promptsOf(this.#request, sourcesOf(this.#request.line, { ...this.#asking, looks }));
    return { longest: Math.max(...prompts.map(({ length }) => length)), rows: prompts.length };
  }

  get #read(): ReadAnswer {
    return { request: this.#request, sources: this.#sources, ids: this.#ids, policy: this.#looked.policy };
  }

  #end(finishReason: FinishReason): EngineEvent[] {
    this.ended = true;
    return endEvents(finishReason, {
      choice: this.#choice,
      held: this.#text.flush(),
      prompt: this.promptIds.length,
      cachedTokens: this.cachedTokens,
      state: this.#state,
      weights: this.#weights,
      ran: this.#ran,
      look: this.report,
      line: this.#looked.line,
    });
  }
}

function keyOf({ sampling, moreKeys = [] }: EngineRequest, choice: number): DrawKey {
  const key = choice === 0 ? sampling.key : moreKeys[choice - 1];
  if (key === undefined) throw new Error(`choice ${choice} of ${1 + moreKeys.length} has no draw key`);
  return key;
}
