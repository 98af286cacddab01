/**
 * The prompt, sent back before the answer: its text and, if the client wants log-probabilities,
 * what the experts and their mixture thought of each token. A token is scored by the prediction
 * after the one before it. A prompt may be read in pieces: the last prediction of one scores the
 * first token of the next.
 *
 * Nothing was drawn, so the numbers are the mixture's at temperature 1 under the line's own floor,
 * before masks, wishes and budget.
 */
import { toLogprob } from '#shared/answer/token-numbers.ts';
import type { Vocabulary } from '#shared/answer/vocabulary.ts';
import { scoreToken, type TokenScore } from '#shared/gate/index.ts';
import type { EchoToken } from '#shared/protocol/generate.ts';
import type { Outputs, Predictions } from './answer.ts';
import { type Proposal, propose } from './ask-gate.ts';
import type { EngineEvent, EngineRequest } from './engine.ts';
import type { Output, Prediction } from './experts.ts';
import { promptText } from './prompt-text.ts';
import { bytesOrNull, toTopTokens } from './report-tokens.ts';

export class Echo {
  readonly #request: EngineRequest;
  readonly #vocabulary: Vocabulary;
  readonly #proposal: Proposal;
  readonly #tokens: EchoToken[] = [];
  /** After the last token that was read. */
  #last: Predictions | null = null;

  constructor(request: EngineRequest, { vocabulary, proposal }: { vocabulary: Vocabulary; proposal: Proposal }) {
    this.#request = request;
    this.#vocabulary = vocabulary;
    this.#proposal = proposal;
  }

  /** Whether it needs a prediction after every token of the prompt. Then `read` must get them. */
  get scores(): boolean {
    return this.#request.topLogprobs !== undefined;
  }

  /**
   * @param ids the next tokens of the prompt, the same in every row
   * @param outputs with a prediction after each of them; whole rows
   */
  read(ids: readonly number[], outputs: Outputs): void {
    for (const [i, id] of ids.entries()) {
      this.#tokens.push(this.#scored(id, this.#last));
      const sources = Object.entries(outputs).map(([source, output]) => [source, predictionsOf(output)[i]]);
      this.#last = Object.fromEntries(sources.filter(([, prediction]) => prediction !== undefined));
    }
  }

  /** The event, once the whole prompt has been read. Throws if tokens were not scored. */
  event(): EngineEvent {
    const { promptIds } = this.#request;
    const text = promptText(promptIds, this.#vocabulary);
    if (!this.scores) return { type: 'echo', text };
    const [scored, all] = [this.#tokens.length, promptIds.length];
    if (scored !== all) throw new Error(`${scored} of the prompt's ${all} tokens were scored`);
    return { type: 'echo', text, tokens: this.#tokens };
  }

  #scored(id: number, last: Predictions | null): EchoToken {
    const bytes = bytesOrNull(id, this.#vocabulary);
    // Nothing predicts the first token.
    if (last === null) return { id, bytes, lp: null, lp_s: null, lp_h: null, top: [] };
    const { logprob, logprobSafety, logprobHelpful, top } = this.#score(id, last);
    return {
      id,
      bytes,
      lp: toLogprob(logprob),
      lp_s: toLogprob(logprobSafety),
      lp_h: toLogprob(logprobHelpful),
      top: toTopTokens(top, this.#vocabulary),
    };
  }

  #score(id: number, { safety, layers, helpfulness }: Predictions): TokenScore {
    const { line, topLogprobs = 0 } = this.#request;
    const rest = { safetyLogits: logitsOf(safety), line, report: { topLogprobs, experts: true } };
    // NaN is not a share of anything, so it leaves the safety expert alone.
    if (line.mode === 'layers') {
      return scoreToken(id, { ...rest, layersLogits: logitsOf(layers), alpha: layers?.alpha ?? Number.NaN });
    }
    const proposal = propose(this.#proposal, safety ?? null, helpfulness ?? null);
    return scoreToken(id, { ...rest, helpfulLogits: logitsOf(helpfulness), proposal });
  }
}

const predictionsOf = (output: Output): Prediction[] => [...output.earlier, output];

const logitsOf = (prediction: Prediction | undefined): Float32Array | null =>
  prediction && 'logits' in prediction.row ? prediction.row.logits : null;
