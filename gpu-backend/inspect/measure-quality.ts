/**
 * How well a model predicts fixed texts, and how far it is from another form of the same model,
 * such as the one in f32. Each text is read as an answer: after its question, in the chat template,
 * each expert under its own prompt if it has one. So these are the distributions that clients get.
 *
 * It feeds one token at a time, as answers grow. All texts and both experts run together, which
 * costs little more than one of them.
 */
import { logSoftmax, mixExperts } from '#shared/gate/index.ts';
import type { Experts, SequenceId, Step } from '../engine/experts.ts';
import { BundleError } from '../model/bundle-error.ts';
import { BUNDLE_FILES, expertFiles } from '../model/bundle-files.ts';
import type { BundleHead } from '../model/load-bundle.ts';
import type { ExpertRole } from '../model/manifest.ts';
import { renderRows } from '../model/render-rows.ts';
import { QUALITY_TEXTS, type QualityText } from './quality-texts.ts';

/** A loaded model, with experts that return whole rows. */
export type QualityModel = {
  head: Pick<BundleHead, 'config' | 'tokenizer' | 'renderChat' | 'prompts'>;
  experts: Experts;
};

/** What is measured: each expert, and the two mixed by the geometric rule at weight 0.5. */
export const QUALITY_ROWS = ['safety', 'helpfulness', 'mixture'] as const;
export type QualityRow = (typeof QUALITY_ROWS)[number];

type QualityFigures = {
  /** exp of the mean of -log p over the texts' tokens. */
  perplexity: number;
  /** The mean of KL(p_against || p) in nats a token. null without `against`. */
  kl: number | null;
};

export type Quality = {
  /** Tokens that were predicted, over all texts. */
  tokens: number;
  rows: Record<QualityRow, QualityFigures>;
};

export type QualityOptions = {
  /** The same model in another form: same tokens, same prompts. */
  against?: QualityModel | undefined;
  texts?: readonly QualityText[];
  /** Tokens predicted so far, and all of them. */
  onTokens?: (done: number, total: number) => void;
  signal?: AbortSignal | undefined;
};

const ROLES = ['safety', 'helpfulness'] as const satisfies ExpertRole[];
const MIXING = { weight: 0.5, rule: 'geometric' } as const;

/**
 * Takes as many steps as the longest text has tokens. A text longer than the context is cut.
 * Throws a BundleError if `against` reads other tokens, if a text has no room in the context, or if
 * a row of logits is no distribution.
 */
export async function measureQuality(
  model: QualityModel,
  { against, texts = QUALITY_TEXTS, onTokens = () => {}, signal }: QualityOptions = {},
): Promise<Quality> {
  if (against !== undefined) checkPrompts(model.head, against.head);
  const passages = passagesOf(model, texts);
  if (against !== undefined) checkSame(passages, passagesOf(against, texts));
  const total = passages.reduce((sum, { answer }) => sum + answer.length, 0);
  // It has an entry for every row.
  const sums = Object.fromEntries(QUALITY_ROWS.map((row) => [row, { nll: 0, kl: 0 }])) as Sums;
  const readings = [model, ...(against === undefined ? [] : [against])].map(
    ({ experts }) => new Reading(experts, passages),
  );
  try {
    let done = 0;
    for (let at = 0; done < total; at++) {
      signal?.throwIfAborted();
      const [rows, wanted] = [await readings[0]!.at(at), await readings[1]?.at(at)];
      for (const [passage, own] of rows) {
        addFigures(sums, { own, wanted: wanted?.get(passage), token: passage.answer[at]! });
        done += 1;
      }
      onTokens(done, total);
    }
  } finally {
    for (const reading of readings) reading.close();
  }
  const figures = ({ nll, kl }: Sums[QualityRow]): QualityFigures => ({
    perplexity: Math.exp(nll / total),
    kl: against === undefined ? null : kl / total,
  });
  const rows = Object.fromEntries(QUALITY_ROWS.map((row) => [row, figures(sums[row])]));
  // Every row has its entry.
  return { tokens: total, rows: rows as Quality['rows'] };
}

type Sums = Record<QualityRow, { nll: number; kl: number }>;
/** log p of each row, [V]. */
type Logprobs = Record<QualityRow, Float64Array>;

function addFigures(
  sums: Sums,
  { own, wanted, token }: { own: Logprobs; wanted: Logprobs | undefined; token: number },
) {
  for (const row of QUALITY_ROWS) {
    sums[row].nll -= own[row][token]!;
    if (wanted !== undefined) sums[row].kl += divergence(wanted[row], own[row]);
  }
}

/** KL(p || q) in nats, of two rows of log-probabilities. */
function divergence(p: Float64Array, q: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < p.length; i++) sum += Math.exp(p[i]!) * (p[i]! - q[i]!);
  return sum;
}

/** A text in tokens: what each expert has read before it, and the answer. */
type Passage = { prompts: Record<ExpertRole, readonly number[]>; answer: readonly number[] };

function passagesOf({ head }: QualityModel, texts: readonly QualityText[]): Passage[] {
  const { config, tokenizer } = head;
  return texts.map(({ question, answer }) => {
    const { promptIds, rowPrompts } = renderRows([{ role: 'user', content: question }], head);
    const prompts = { safety: promptIds, helpfulness: promptIds, ...rowPrompts };
    const longest = Math.max(...ROLES.map((role) => prompts[role].length));
    // The last token is predicted, never read.
    const room = config.max_position_embeddings - longest + 1;
    if (room < 2) {
      const found = `found ${config.max_position_embeddings} positions`;
      throw new BundleError(BUNDLE_FILES.config, `${found}, wanted more than the ${longest} tokens of a question`);
    }
    return { prompts, answer: tokenizer.encode(answer).slice(0, room) };
  });
}

function checkPrompts({ prompts }: QualityModel['head'], others: QualityModel['head']): void {
  for (const role of ROLES) {
    const [own, other] = [prompts[role], others.prompts[role]];
    if (own === other) continue;
    const found = own === undefined ? 'no system prompt' : other === undefined ? 'a system prompt' : 'another one';
    const wanted = `the ${role} expert to have the same system prompt as in the bundle to compare with, if it has one`;
    throw new BundleError(expertFiles(role).prompt, `found ${found}, wanted ${wanted}`);
  }
}

function checkSame(passages: readonly Passage[], others: readonly Passage[]): void {
  if (JSON.stringify(passages) === JSON.stringify(others)) return;
  const found = 'found other tokens for the same texts than in the bundle to compare with';
  throw new BundleError(BUNDLE_FILES.tokenizer, `${found}, wanted the same model`);
}

type OpenPassage = { passage: Passage; sequences: Record<ExpertRole, SequenceId> };

/** One model on its way through all passages at once. */
class Reading {
  readonly #experts: Experts;
  readonly #open: OpenPassage[];

  constructor(experts: Experts, passages: readonly Passage[]) {
    this.#experts = experts;
    this.#open = passages.map((passage) => ({
      passage,
      sequences: { safety: experts.open('safety'), helpfulness: experts.open('helpfulness') },
    }));
  }

  /** What predicts the token at this place of every answer that is so long. Call it in order. */
  async at(place: number): Promise<Map<Passage, Logprobs>> {
    const left = this.#open.filter(({ passage }) => place < passage.answer.length);
    const steps = left.flatMap(({ passage, sequences }) =>
      ROLES.map((role): Step => {
        const sequence = sequences[role];
        return place === 0
          ? { sequence, ids: passage.prompts[role], reads: 'prompt' }
          : { sequence, ids: [passage.answer[place - 1]!], reads: 'answer' };
      }),
    );
    const outputs = await Promise.all(this.#experts.append(steps));
    const rows = outputs.map(({ row }, i) => {
      // Truncated rows would leave mass out of a divergence.
      if (!('logits' in row)) throw new Error('a quality is measured with whole rows of logits');
      return distribution(logSoftmax(row.logits), ROLES[i % ROLES.length]!);
    });
    return new Map(
      left.map(({ passage }, i) => {
        const [safety, helpfulness] = [rows[2 * i]!, rows[2 * i + 1]!];
        const mixture = distribution(mixExperts(safety, helpfulness, MIXING), 'mixture');
        return [passage, { safety, helpfulness, mixture }];
      }),
    );
  }

  close(): void {
    for (const { sequences } of this.#open) for (const role of ROLES) this.#experts.close(sequences[role]);
  }
}

function distribution(logprobs: Float64Array | null, row: QualityRow): Float64Array {
  if (logprobs !== null) return logprobs;
  throw new BundleError(BUNDLE_FILES.weights, `${row}: found logits that are no distribution, wanted finite numbers`);
}
