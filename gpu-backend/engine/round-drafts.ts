/**
 * The drafts of one round after another: guesses from the text where it repeats itself
 * (draft-planner.ts), and for the other answers guesses of an expert, where the driver offers them
 * (expert-drafts.ts).
 */
import type { DraftPlanner } from './draft-planner.ts';
import { countAccepted } from './draw-drafted.ts';
import type { EngineEvent } from './engine.ts';
import type { ExpertDrafts } from './expert-drafts.ts';
import type { Output } from './experts.ts';
import type { Job } from './job.ts';

type Draft = readonly number[];
type Outcome = { events: readonly EngineEvent[]; results: readonly PromiseSettledResult<Output>[] };

export class RoundDrafts {
  readonly #fromText: DraftPlanner;
  readonly #fromExperts: ExpertDrafts | null;
  /** Those whose draft this round was made by an expert. */
  #guessed: ReadonlySet<Job> = new Set();

  constructor(fromText: DraftPlanner, fromExperts: ExpertDrafts | null) {
    this.#fromText = fromText;
    this.#fromExperts = fromExperts;
  }

  /**
   * The drafts of the coming round.
   *
   * @param drawing the answers that may have one
   * @param all how many answers the round has
   */
  async plan(drawing: readonly Job[], all: number): Promise<Map<Job, Draft>> {
    const texts = this.#fromText.plan(drawing);
    const drafts = new Map(drawing.flatMap((job, i) => (texts[i]!.length > 0 ? [[job, texts[i]!]] : [])));
    const without = drawing.filter((job) => !drafts.has(job));
    const made = (await this.#fromExperts?.ask(without, { others: all - without.length })) ?? [];
    this.#guessed = new Set(without.filter((_, i) => (made[i]?.length ?? 0) > 0));
    for (const [i, job] of without.entries()) if (this.#guessed.has(job)) drafts.set(job, made[i]!);
    return drafts;
  }

  /** Learns what came of a draft. One whose run failed was not looked at, so it is not counted. */
  learn(job: Job, draft: Draft, { events, results }: Outcome): void {
    if (draft.length === 0) return;
    const { answer } = job;
    const guessed = this.#guessed.has(job);
    const outcome = { length: draft.length, accepted: countAccepted(draft, events) };
    const failed = results.some(({ status }) => status === 'rejected');
    if (guessed) {
      if (failed) this.#fromExperts?.fail(answer);
      else this.#fromExperts?.learn(answer, outcome);
    } else if (failed) this.#fromText.fail(answer);
    else this.#fromText.learn(answer, outcome);
  }

  /**
   * Takes note of how long a round took.
   *
   * @param rows of all its answers
   * @param longest draft, in tokens
   */
  learnCost({ rows, longest, asking, ran }: { rows: number; longest: number; asking: number; ran: number }): void {
    this.#fromText.learnCost({ tokens: rows * (1 + longest), ms: ran });
    this.#fromExperts?.learnCost({ length: longest, ms: asking + ran });
  }

  /**
   * Adds what came of the drafts from the text to the answer's last event. Those of experts are not
   * counted: they say nothing about the client's text.
   */
  count({ answer }: Job, events: EngineEvent[]): EngineEvent[] {
    const { accepted, rejected } = this.#fromText.tried(answer);
    if (accepted + rejected === 0) return events;
    const details = { accepted_prediction_tokens: accepted, rejected_prediction_tokens: rejected };
    return events.map((event) =>
      event.type === 'end' ? { ...event, usage: { ...event.usage, completion_tokens_details: details } } : event,
    );
  }
}
