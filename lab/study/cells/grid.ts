/**
 * The grid of the study: trains every method's runs, builds its bundle and answers every set. You
 * can stop and resume it at any point: a finished run or a file of answers is not made twice.
 * Whatever is left out of the full grid is listed in the results, never silently skipped.
 */
import '#gpu-backend/graph/no-telemetry.ts';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { bundleVocabulary } from '#gpu-backend/engine/bundle-vocabulary.ts';
import type { Engine } from '#gpu-backend/engine/engine.ts';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import { startWorkerEngine } from '#gpu-backend/engine/worker-engine.ts';
import { withPrompt } from '#gpu-backend/model/expert-prompt.ts';
import { openBundle } from '#gpu-backend/model/load-bundle.ts';
import type { RenderedRows } from '#gpu-backend/model/render-rows.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { answerPrompts, type Sampling } from '../../evaluate/answer-prompts.ts';
import type { RunName } from '../../methods/run-names.ts';
import type { RunSource, Served } from '../../methods/run-source.ts';
import { folderOfRun, type RunContext, trainRuns, withAllNeeds } from '../../methods/runs.ts';
import { decodePrompts } from '../decoders/decode-prompts.ts';
import { attackPrefix, attackSet, type QuestionSet, type StudyQuestion } from '../questions/questions.ts';
import { type AnswerRecord, answerRecord, type MeasuredAnswer, readAnswers, writeAnswers } from '../results/answers.ts';
import type { CellName, StudyKind } from '../results/results.ts';
import { buildBundle } from './build-bundle.ts';
import { type Method, methodsOf, runsOf } from './methods.ts';
import type { Shipped } from './shipped.ts';
import type { TenantLine, TenantLines } from './tenant-lines.ts';

/** `source` is null if the runs of this seed are not at hand: only what needs none can answer. */
export type SeedContext = Omit<RunContext, 'source'> & { source: RunSource | null };

export type GridOptions = {
  /**
   * One context per seed. Its folder, `context.dir`, holds the runs, the answers and the bundle.
   */
  contexts: readonly SeedContext[];
  /** How every seed's bundle is served. */
  served: Served;
  /** Folder of the tokenizer. */
  tokenizerDir: string;
  world: QuestionSet;
  /** Real prompts, which have no oracle. */
  real: readonly QuestionSet[];
  sampling: Sampling;
  study: StudyKind;
  /** As `Ships` has them. */
  matchedWeight?: number | undefined;
  shipped?: Shipped | undefined;
  /** What the demo tenants' policies make of a question. */
  tenants: TenantLines;
  /** Ids of methods. The default is all. */
  methods?: readonly string[] | undefined;
  /** False: train and generate nothing, only use what is there. */
  make: boolean;
  /** Whether answers that were made otherwise are an error. If not, they are made again. */
  keeps?: boolean;
  /** Cells that an earlier sitting has measured. They are neither answered nor missing. */
  measured?: ((cell: CellName) => boolean) | undefined;
};

export type AnsweredCell = {
  method: Method;
  set: QuestionSet;
  seed: number;
  depth: number;
  /**
   * The beginning that was forced on each answer. It is not part of the text, and it is empty if
   * there was no attack.
   */
  begun: readonly string[];
  answers: AnswerRecord[];
};

export type Grid = {
  cells: AnsweredCell[];
  /** Time spent on generating. */
  seconds: number;
  /** What was not there while `make` was false. */
  missing: string[];
};

/** Logs a line for every bundle, and the engine's own progress below it. */
export async function runGrid(options: GridOptions): Promise<Grid> {
  const plan = options.contexts.flatMap((context, i) =>
    bundlesOf(methodsAsked(context, { ...options, first: i === 0 })).map((group) => ({ context, group })),
  );
  const grid: Grid = { cells: [], seconds: 0, missing: [] };
  const finished = new Set<string>();
  let done = 0;
  for (const { context, group } of plan) {
    done++;
    const names = group.map(({ method }) => method.label).join(', ');
    process.stderr.write(`study: seed ${context.seed}, ${done} of ${plan.length} bundles: ${names}\n`);
    const runs = group.flatMap(({ method }) => runsOf(method));
    const { source } = context;
    if (source === null && runs.length > 0) {
      grid.missing.push(`seed ${context.seed}: all else of ${names}: its runs are not at hand`);
      continue;
    }
    if (options.make && source) await trainRuns(runs, { ...context, source }, finished);
    const unmade = withAllNeeds(runs).filter((run) => source && !existsSync(folderOfRun(run, { ...context, source })));
    if (unmade.length > 0) grid.missing.push(`seed ${context.seed}: ${names} (not trained: ${unmade.join(', ')})`);
    else await answerWith(group, context, options, grid);
  }
  return grid;
}

type AskedMethod = { method: Method; asks: Method['asked'] };

/** The methods that answer with this seed, and what they answer. */
function methodsAsked(
  { seed }: SeedContext,
  { first, study, served, matchedWeight, shipped, methods: ids, measured, ...sets }: GridOptions & { first: boolean },
): AskedMethod[] {
  return methodsOf({ ...served, study, matchedWeight, shipped })
    .filter(({ id }) => ids === undefined || ids.includes(id))
    .map((method) => ({ method, asks: first ? method.asked : method.repeated }))
    .filter(({ method, asks }) => {
      const cells = cellsOf(asks, sets).map(({ set, depth }) => ({ method: method.id, set: set.id, seed, depth }));
      return asks.length > 0 && !(measured && cells.length > 0 && cells.every(measured));
    });
}

/**
 * Groups methods by the bundle that serves them. The bundle that serves the most methods comes
 * first, so that even a study cut short has it.
 */
function bundlesOf(methods: readonly AskedMethod[]): AskedMethod[][] {
  const groups = [...Map.groupBy(methods, ({ method }) => JSON.stringify(method.bundle)).values()];
  return groups.toSorted((a, b) => b.length - a.length);
}

async function answerWith(
  group: readonly AskedMethod[],
  context: SeedContext,
  {
    tokenizerDir,
    world,
    real,
    sampling,
    tenants,
    make,
    keeps = false,
    shipped: ships,
    served: { defaultWeight },
    measured,
  }: GridOptions,
  grid: Grid,
): Promise<void> {
  const { base, tokenizer, threads, seed, source } = context;
  const dirOf = (run: RunName) => {
    if (source === null) throw new Error(`seed ${seed}: ${run}: this run is not at hand`);
    return folderOfRun(run, { ...context, source });
  };
  const recipe = group[0]!.method.bundle;
  const shipped = recipe.kind === 'shipped' ? ships : undefined;
  const built = path.join(context.dir, 'study-bundle');
  const dir = shipped?.dir ?? built;
  const build = { base, tokenizer: tokenizerDir, dirOf, defaultWeight, out: built };
  const bundle = recipe.kind === 'shipped' ? recipe.digest : await buildBundle(recipe, build);
  // The same question gets the same draw under every method, and another draw for another seed.
  const draws = { ...sampling, ...shipped?.sampling, seed: sampling.seed + 10_000 * seed };
  let engine: Awaited<ReturnType<typeof startWorkerEngine>> | null = null;
  try {
    for (const { method, asks } of group) {
      for (const { set, depth } of cellsOf(asks, { world, real })) {
        if (measured?.({ method: method.id, set: set.id, seed, depth })) continue;
        const prefixes = set.questions.map((question) =>
          attackPrefix(question, { depth, tokenizer: tokenizer.tokenizer }),
        );
        const prompts = set.questions.map((question, i) =>
          promptOf(question, prefixes[i]!, { method, tokenizer, shipped }),
        );
        const lines = set.questions.map(({ messages }) => lineFor(messages, method, tenants, shipped));
        const line = method.decoder ? { decoder: method.decoder.name } : originOf(method, lines);
        const origin = { bundle, line, sampling: draws, prompts: digestOf(prompts) };
        const file = path.join(context.dir, 'answers', `${method.id}@${set.id}-${depth}.jsonl`);
        let found = await readAnswers(file, origin, { keeps: make && keeps });
        if (found === null && !make) {
          grid.missing.push(`seed ${seed}: ${method.label} on ${set.label}${depth > 0 ? `, depth ${depth}` : ''}`);
          continue;
        }
        if (found === null) {
          const startedAt = performance.now();
          const label = `${method.label}, ${set.label}${depth > 0 ? `, depth ${depth}` : ''}`;
          let answers: MeasuredAnswer[];
          if (method.decoder) answers = await decodeWith(method.decoder, prompts, { dir, threads, draws, label });
          else {
            engine ??= await startWorkerEngine({ dir, threads });
            answers = await answerUnder(lines, prompts, { engine, sampling: draws, label });
          }
          const seconds = (performance.now() - startedAt) / 1000;
          found = { answers: recordsOf(set.questions, answers), seconds };
          writeAnswers(file, { ...origin, seconds }, found.answers);
        }
        grid.seconds += found.seconds;
        const begun = prefixes.map((prefix) => tokenizer.tokenizer.decode(prefix));
        grid.cells.push({ method, set, seed, depth, begun, answers: found.answers });
      }
    }
  } finally {
    await engine?.close();
    await rm(built, { recursive: true, force: true });
  }
}

function cellsOf(asks: Method['asked'], { world, real }: Pick<GridOptions, 'world' | 'real'>) {
  const everything = [world, attackSet(world), ...real];
  const sets = everything.filter(({ id }) => asks.some((asked) => asked === id));
  return sets.flatMap((set) => (set.depths ?? [0]).map((depth) => ({ set, depth })));
}

function lineFor(
  messages: readonly Message[],
  { line }: Method,
  tenants: TenantLines,
  shipped: Shipped | undefined,
): TenantLine {
  if (!('tenant' in line)) return { line };
  const found = tenants[line.tenant](messages);
  if ('refusal' in found || shipped?.looks) return found;
  return { line: found.line };
}

/** What a file of answers says of its lines. */
function originOf({ line }: Method, lines: readonly TenantLine[]): object {
  return 'tenant' in line ? { ...line, lines: digestOf(lines) } : line;
}

/** Each question under its own line. A question that is refused gets the policy's text. */
async function answerUnder(
  lines: readonly TenantLine[],
  prompts: readonly Prompt[],
  options: { engine: Engine; sampling: Sampling; label: string },
): Promise<MeasuredAnswer[]> {
  const answered = lines.flatMap((found, place) => ('line' in found ? [{ line: found.line, place }] : []));
  const answers = await answerPrompts(
    answered.map(({ place }) => {
      const { looked, ...prompt } = prompts[place]!;
      const look = lookOf(lines[place]!);
      return { ...prompt, ...(look && looked && { secondLook: { ...look.rules, messages: looked } }) };
    }),
    { ...options, line: answered.map(({ line }) => line), places: answered.map(({ place }) => place) },
  );
  const byPlace = new Map(answered.map(({ place }, i) => [place, answers[i]!]));
  return lines.map((found, place): MeasuredAnswer => {
    if ('line' in found) {
      const answer = byPlace.get(place)!;
      if (answer.finishReason !== 'content_filter') return answer;
      return { ...answer, text: lookOf(found)?.refusal ?? answer.text };
    }
    return { text: found.refusal, tokens: [], finishReason: 'stop' };
  });
}

const lookOf = (found: TenantLine) => ('line' in found ? found.look : undefined);

type Prompt = Pick<RenderedRows, 'looked'> & {
  promptIds: number[];
  rowPrompts?: Partial<Record<'safety' | 'helpfulness', number[]>>;
};

/** What the experts read: the question under the method's prompts, and the attack's beginning. */
function promptOf(
  { messages }: StudyQuestion,
  prefix: readonly number[],
  { method, tokenizer, shipped }: { method: Method; tokenizer: RunContext['tokenizer']; shipped: Shipped | undefined },
): Prompt {
  if (shipped) {
    const { promptIds, rowPrompts, looked } = shipped.encode(messages);
    const begun = Object.entries(rowPrompts).map(([role, ids]) => [role, [...ids, ...prefix]] as const);
    return { promptIds: [...promptIds, ...prefix], rowPrompts: Object.fromEntries(begun), ...(looked && { looked }) };
  }
  const render = (under: readonly Message[]) => [
    ...tokenizer.renderChat(under, { addGenerationPrompt: true }),
    ...prefix,
  ];
  const promptIds = render(method.system === undefined ? messages : withPrompt(messages, method.system));
  if (method.bundle.kind !== 'prompted') return { promptIds };
  const { safety, helpfulness } = method.bundle;
  return {
    promptIds,
    rowPrompts: {
      safety: render(withPrompt(messages, safety)),
      helpfulness: render(withPrompt(messages, helpfulness)),
    },
  };
}

/** Answers without the gate, in this thread. */
async function decodeWith(
  decoder: NonNullable<Method['decoder']>,
  prompts: readonly Prompt[],
  { dir, threads, draws, label }: { dir: string; threads: number; draws: Sampling; label: string },
): Promise<MeasuredAnswer[]> {
  const bundle = await openBundle(dir);
  const experts = await OnnxExperts.create(bundle, { threads });
  try {
    return await decodePrompts(
      prompts.map(({ promptIds }) => promptIds),
      {
        experts,
        vocabulary: bundleVocabulary(bundle),
        decoder: decoder.make(),
        sampling: draws,
        contextLength: bundle.config.max_position_embeddings,
        label,
      },
    );
  } finally {
    await experts.dispose();
  }
}

function recordsOf(questions: readonly StudyQuestion[], answers: readonly MeasuredAnswer[]): AnswerRecord[] {
  return questions.map(({ id }, i) => answerRecord(id, answers[i]!));
}

function digestOf(value: readonly object[]): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}
