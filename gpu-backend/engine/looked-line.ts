/**
 * The line of one answer: the request's, or what a second look at the prompt has made of it. The
 * prompt is looked at once, before the first token. A resumed answer, and the further answers to
 * the same prompt, take over what was found.
 */
import type { LookReport } from '#shared/api/plimsoll-extension.ts';
import type { GatePolicy } from '#shared/gate/index.ts';
import type { Line } from '#shared/line/line.ts';
import { lineAfterLook, lookCategories } from '#shared/protocol/second-look.ts';
import type { Span } from '../model/looked-messages.ts';
import type { Probe } from '../model/probe.ts';
import type { EngineRequest } from './engine.ts';
import { lookAt, lookSpans, windowsOf } from './second-look.ts';

export class LookedLine {
  readonly #request: Pick<EngineRequest, 'line' | 'secondLook'>;
  readonly #probe: Probe | null;
  #line: Line;
  #policy: GatePolicy;
  #report: LookReport | null = null;
  #refused = false;

  /** @param probe looks, where the request asks for it */
  constructor(request: Pick<EngineRequest, 'line' | 'secondLook'>, probe: Probe | null) {
    this.#request = request;
    this.#probe = probe;
    this.#line = request.line;
    this.#policy = policyOf(request.line);
  }

  get line(): Line {
    return this.#line;
  }

  /** The line as the gate takes it. */
  get policy(): GatePolicy {
    return this.#policy;
  }

  /** Whether the prompt is still to be looked at. */
  get looks(): boolean {
    return this.#request.secondLook !== undefined && this.#report === null;
  }

  /** What has to be summed for it. Empty if nothing is looked at any more. */
  get spans(): readonly Span[] {
    return this.looks && this.#probe ? lookSpans(this.#windows, this.#probe) : [];
  }

  /** What came of it; null before, and if nobody asks. */
  get report(): LookReport | null {
    return this.#report;
  }

  /** Whether it has refused the answer. */
  get refused(): boolean {
    return this.#refused;
  }

  /**
   * Looks at the prompt, and tightens the line by what is found. Without a probe or with a state
   * missing, every judgement counts as certain.
   *
   * @param sums over `spans`
   */
  look(sums: readonly (Float32Array | null)[]): void {
    const probabilities = this.#probe ? lookAt(this.#probe, this.#windows, sums) : [];
    this.take({ version: this.#probe?.version ?? '', categories: lookCategories(probabilities) });
  }

  /**
   * Tightens the line by what a look at the same prompt has found. Throws an Error if it was looked
   * at already: a second look starts from the request's line again, so it could loosen this one.
   */
  take({ version, categories }: Pick<LookReport, 'version' | 'categories'>): void {
    const { line, secondLook } = this.#request;
    if (secondLook === undefined) throw new Error('a second look has no rules to tighten the line by');
    if (this.#report !== null) throw new Error('the prompt was looked at already, and one look decides');
    const { line: tight, refused, tightened, because } = lineAfterLook(line, secondLook, categories);
    this.#line = tight;
    this.#policy = policyOf(tight);
    this.#refused = refused;
    this.#report = { version, categories, tightened, because };
  }

  get #windows() {
    return windowsOf(this.#request.secondLook?.messages ?? [], this.#probe?.head.window ?? 1);
  }
}

function policyOf({ rule, floor, ceiling, opening, budget, earned }: Line): GatePolicy {
  return { rule, floor, ceiling, opening, budget, earned };
}
