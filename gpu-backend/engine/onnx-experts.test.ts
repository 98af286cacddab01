import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { GraphSession } from '../graph/session.ts';
import type { Expert } from '../model/adapter.ts';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { type Bundle, loadBundle } from '../model/load-bundle.ts';
import { writeBundle } from '../model/write-bundle.ts';
import type { Output, SequenceId, Source } from './experts.ts';
import { OnnxExperts } from './onnx-experts.ts';
import { testExperts } from './testing/experts-contract.ts';
import { feed, someIds } from './testing/feed-experts.ts';
import { checkKeptPast } from './testing/kept-past.ts';

let root: string;
/** The same model, once without routers and once with both. */
let bundle: Bundle;
let routed: Bundle;
/** The routed one with a probe that reads both layers. */
let probed: Bundle;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'experts-'));
  await writeBundle(join(root, 'tiny'), tinyBundle());
  await writeBundle(join(root, 'routed'), tinyBundle({ routers: true }));
  [bundle, routed] = [await loadBundle(join(root, 'tiny')), await loadBundle(join(root, 'routed'))];
  await writeBundle(join(root, 'probed'), tinyBundle({ routers: true, probeWindow: 8 }));
  probed = await loadBundle(join(root, 'probed'));
});
afterAll(() => rm(root, { recursive: true }));

/** f32 sums in another order: logits of about 5 agree to about six digits. */
const TOLERANCE = 1e-4;

/** More than these tests keep. */
const AMPLE = { prefixBytes: 2 ** 28 };

const abilities = {
  hidden: true,
  layers: true,
  fork: true,
  score: true,
  draft: 0,
  sums: true,
  prefixes: true,
  topK: null,
};

testExperts('onnxruntime', {
  create: (bounds = AMPLE) => OnnxExperts.create(probed, { threads: 1, ...bounds }),
  abilities,
  tolerance: TOLERANCE,
});

testExperts('onnxruntime, a bundle without routers', {
  create: () => OnnxExperts.create(bundle, { threads: 1 }),
  abilities: { ...abilities, layers: false, sums: false, prefixes: false },
  tolerance: TOLERANCE,
});

testExperts('onnxruntime, prompts a few tokens at a time', {
  create: (bounds = AMPLE) => OnnxExperts.create(probed, { threads: 1, runTokens: 7, ...bounds }),
  abilities,
  tolerance: TOLERANCE,
});

testExperts('onnxruntime, keys and values kept as on a device', {
  create: (bounds = AMPLE) => OnnxExperts.create(probed, { threads: 1, keepsPast: true, ...bounds }),
  abilities,
  tolerance: TOLERANCE,
});

test('keys and values that are kept as on a device are the slab’s, whatever rows do', async () => {
  const kept = await OnnxExperts.create(routed, { threads: 1, keepsPast: true });
  await checkKeptPast(kept, { plain: await OnnxExperts.create(routed, { threads: 1 }), tolerance: TOLERANCE });
});

const logitsOf = ({ row }: Output) => ('logits' in row ? row.logits : new Float32Array());

function expectClose(found: Float32Array, wanted: Float32Array): void {
  expect(found.length).toBe(wanted.length);
  const worst = found.reduce((most, x, i) => Math.max(most, Math.abs(x - wanted[i]!)), 0);
  expect(worst).toBeLessThan(TOLERANCE);
}

/** The expert with its effect removed: its B is zero. */
const muted = (expert: Expert): Expert => ({
  ...expert,
  modules: new Map(
    [...expert.modules].map(([name, { b, ...module }]) => [
      name,
      { ...module, b: { ...b, data: new Float32Array(b.data.length) } },
    ]),
  ),
});

/** The base weights with one expert added into every down_proj, straight from the definition. */
function mergeExpert({ weights, config }: Bundle, { modules, rank }: Expert): Bundle['weights'] {
  const { hidden_size: d, intermediate_size: F } = config;
  const merged = new Map(weights);
  for (const [module, { a, b, scale }] of modules) {
    const name = `${module}.weight`;
    const data = weights.get(name)!.data.slice(); // [d, F]
    for (let i = 0; i < d; i++) {
      for (let j = 0; j < F; j++) {
        for (let r = 0; r < rank; r++) data[i * F + j]! += scale * b.data[i * rank + r]! * a.data[r * F + j]!;
      }
    }
    merged.set(name, { shape: [d, F], data });
  }
  return merged;
}

describe('LoRA experts on onnxruntime', () => {
  const ids = someIds(70);
  const say = async (experts: OnnxExperts, ...sources: Source[]) => {
    const sequences = sources.map((source) => experts.open(source));
    const outputs = await Promise.all(experts.append(sequences.map((sequence) => ({ sequence, ids }))));
    return outputs.map(logitsOf);
  };

  test('an expert applied next to the weights equals the expert merged into them: W + scale * B A', async () => {
    const experts = await OnnxExperts.create(bundle, { threads: 1 });
    const beside = await say(experts, ...bundle.experts.map(({ role }) => role));
    for (const [row, expert] of bundle.experts.entries()) {
      const merged = await OnnxExperts.create({
        ...bundle,
        weights: mergeExpert(bundle, expert),
        experts: [muted(expert)],
      });
      expectClose(beside[row]!, (await say(merged, expert.role))[0]!);
      await merged.dispose();
    }
    await experts.dispose();
  });

  test('the experts differ, and an expert whose B is zero equals the base model', async () => {
    const [first, second] = bundle.experts as [Expert, Expert];
    const half = await OnnxExperts.create({ ...bundle, experts: [first, muted(second)] }, { threads: 1 });
    const base = await OnnxExperts.create({ ...bundle, experts: [muted(first), muted(second)] }, { threads: 1 });
    const [whole, silent] = await say(half, 'safety', 'helpfulness');
    const [plain] = await say(base, 'safety');
    expectClose(silent!, plain!);
    expect(whole!.some((x, i) => Math.abs(x - plain![i]!) > 0.1)).toBe(true);
    await Promise.all([half.dispose(), base.dispose()]);
  });
});

describe('keys and values on onnxruntime', () => {
  test('a sequence longer than the context fails alone', async () => {
    const experts = await OnnxExperts.create(bundle, { threads: 1 });
    const [long, other] = [experts.open('safety'), experts.open('helpfulness')];
    const [tooLong, fits] = await Promise.allSettled(
      experts.append([
        { sequence: long, ids: someIds(97) },
        { sequence: other, ids: someIds(95) },
      ]),
    );
    expect(tooLong).toMatchObject({ reason: { message: '97 tokens do not fit into a context of 96' } });
    expect(fits!.status).toBe('fulfilled');
    await feed(experts, long, someIds(96));
    await expect(feed(experts, long, [1])).rejects.toThrow('97 tokens');
    await experts.dispose();
  });

  test('moves no sequence while as many come as go, and tidies up a few times when many leave', async () => {
    const experts = await OnnxExperts.create(bundle, { threads: 1 });
    const join = async (count: number) => {
      const joined = Array.from({ length: count }, () => experts.open('safety'));
      await Promise.all(experts.append(joined.map((sequence) => ({ sequence, ids: someIds(5) }))));
      return joined;
    };
    const step = (sequences: readonly SequenceId[]) =>
      Promise.all(experts.append(sequences.map((sequence) => ({ sequence, ids: [30] }))));
    let open = await join(8);
    for (let round = 0; round < 30; round++) {
      // Two sequences leave, wherever they are, and two come.
      for (const sequence of [open[round % 8]!, open[(round + 3) % 8]!]) experts.close(sequence);
      open = open.filter((_, i) => i !== round % 8 && i !== (round + 3) % 8);
      open.push(...(await join(2)));
      await step(open);
    }
    expect(experts.cacheMoves).toBe(0);
    for (const sequence of open.splice(1)) experts.close(sequence);
    for (let round = 0; round < 30; round++) await step(open);
    expect(experts.cacheMoves).toBe(1);
    await experts.dispose();
  });
});

describe('a prompt read in several runs', () => {
  const sources: Source[] = ['safety', 'helpfulness', 'layers'];
  const lengths = [33, 9, 64];
  const steps = (experts: OnnxExperts) =>
    sources.map((source, i) => ({
      sequence: experts.open(source),
      ids: someIds(lengths[i]!),
      ...(source === 'layers' && { bounds: { floor: 0.2, ceiling: 0.9 } }),
    }));

  test.each([1, 5, 16, 50])('is the same as in one run, with %d tokens in a run', async (runTokens) => {
    const [whole, parts] = await Promise.all([
      OnnxExperts.create(routed, { threads: 1, runTokens: 1000 }),
      OnnxExperts.create(routed, { threads: 1, runTokens }),
    ]);
    const [wanted, found] = await Promise.all(
      [whole, parts].map((experts) => Promise.all(experts.append(steps(experts)))),
    );
    for (const [i, output] of found!.entries()) {
      expectClose(logitsOf(output), logitsOf(wanted![i]!));
      expect(output.alpha ?? 0).toBeCloseTo(wanted![i]!.alpha ?? 0, 5);
    }
    await Promise.all([whole.dispose(), parts.dispose()]);
  });

  test('if a run in the middle fails, rows that are through keep their output and the others are as before', async () => {
    const experts = await OnnxExperts.create(bundle, { threads: 1, runTokens: 10 });
    const [long, short] = [experts.open('safety'), experts.open('safety')];
    const ids = someIds(30);
    await feed(experts, long, ids.slice(0, 3));
    const real = GraphSession.prototype.runAndKeep;
    const run = vi.spyOn(GraphSession.prototype, 'runAndKeep');
    let runs = 0;
    run.mockImplementation(function (this: GraphSession, ...args) {
      runs++;
      return runs === 3 ? Promise.reject(new Error('out of memory')) : real.apply(this, args);
    });
    try {
      const [failed, fine] = await Promise.allSettled(
        experts.append([
          { sequence: long, ids: ids.slice(3) },
          { sequence: short, ids: someIds(5) },
        ]),
      );
      expect(failed).toMatchObject({ status: 'rejected', reason: { message: 'out of memory' } });
      expect(fine!.status).toBe('fulfilled');
    } finally {
      run.mockRestore();
    }
    const again = await feed(experts, long, ids.slice(3));
    expectClose(logitsOf(again), logitsOf(await feed(experts, experts.open('safety'), ids)));
    await experts.dispose();
  });

  test('closed between two runs, it settles with an error and harms no other', async () => {
    const experts = await OnnxExperts.create(bundle, { threads: 1, runTokens: 4 });
    const [gone, other] = [experts.open('safety'), experts.open('helpfulness')];
    const ids = someIds(60);
    const settled = Promise.allSettled(experts.append([gone, other].map((sequence) => ({ sequence, ids }))));
    await nextTurn();
    await nextTurn();
    experts.close(gone);
    // It takes the slot that has just become free.
    const newcomer = feed(experts, experts.open('safety'), ids);
    const [first, second] = await settled;
    expect(first).toMatchObject({ reason: { message: `sequence ${gone} was closed` } });
    const alone = await feed(experts, experts.open('helpfulness'), ids);
    expectClose(logitsOf((second as PromiseFulfilledResult<Output>).value), logitsOf(alone));
    expectClose(logitsOf(await newcomer), logitsOf(await feed(experts, experts.open('safety'), ids)));
    await experts.dispose();
  });
});

describe('a run that fails, and prefixes', () => {
  const ids = someIds(90);
  const prefix = { ids, scope: { tenant: 'acme', publicTokens: 0 } };
  /** Opens a sequence, reads the prompt in it, keeps it and closes it again. */
  const ask = async (experts: OnnxExperts) => {
    const sequence = experts.open('safety');
    const recalled = experts.recall(sequence, prefix);
    try {
      const logits = logitsOf(await feed(experts, sequence, ids.slice(recalled)));
      experts.keep(sequence, prefix);
      return { recalled, logits };
    } finally {
      experts.close(sequence);
    }
  };
  /** What happens while one run is replaced. */
  const withRun = async <T>(
    replace: (outputs: () => ReturnType<GraphSession['runAndKeep']>) => ReturnType<GraphSession['runAndKeep']>,
    act: () => Promise<T>,
  ) => {
    const real = GraphSession.prototype.runAndKeep;
    const run = vi.spyOn(GraphSession.prototype, 'runAndKeep');
    run.mockImplementation(function (this: GraphSession, ...args) {
      return replace(() => real.apply(this, args));
    });
    try {
      return await act();
    } finally {
      run.mockRestore();
    }
  };
  const failOnce = () => Promise.reject(new Error('out of memory'));
  const serve = () => OnnxExperts.create(bundle, { threads: 1, ...AMPLE });
  /** Lets all the numbers of these outputs be none. */
  const spoil = async (name: string, outputs: () => ReturnType<GraphSession['runAndKeep']>) => {
    const found = await outputs();
    for (const [key, numbers] of Object.entries(found.outputs)) if (key.startsWith(name)) numbers.fill(NaN);
    return found;
  };

  test('the next request recalls as if nothing had happened', async () => {
    const experts = await serve();
    const first = await ask(experts);
    await expect(withRun(failOnce, () => ask(experts))).rejects.toThrow('out of memory');
    const again = await ask(experts);
    expect([first.recalled, again.recalled]).toEqual([0, 80]);
    expectClose(again.logits, first.logits);
    await experts.dispose();
  });

  test('nor does it harm those that come while others go on', async () => {
    const experts = await serve();
    const first = await ask(experts);
    const stays = experts.open('helpfulness');
    await feed(experts, stays, [4, 5, 6]);
    await expect(withRun(failOnce, () => feed(experts, stays, [7]))).rejects.toThrow('out of memory');
    expectClose((await ask(experts)).logits, first.logits);
    await experts.dispose();
  });

  test('keys that are no numbers are never kept', async () => {
    const experts = await serve();
    for (const part of ['new_k.0', 'new_v.1']) {
      await withRun(
        (outputs) => spoil(part, outputs),
        () => ask(experts),
      );
      expect(experts.prefixStats.bytes).toBe(0);
    }
    const [whole, again] = [await ask(experts), await ask(experts)];
    expect([whole.recalled, again.recalled]).toEqual([0, 80]);
    await experts.dispose();
  });

  test('what was recalled is forgotten if the sequence says nothing of use', async () => {
    const experts = await serve();
    await ask(experts);
    const spoiled = await withRun(
      (outputs) => spoil('logits', outputs),
      async () => {
        const sequence = experts.open('safety');
        const recalled = experts.recall(sequence, prefix);
        await feed(experts, sequence, ids.slice(recalled));
        experts.close(sequence);
        return recalled;
      },
    );
    expect([spoiled, experts.prefixStats.bytes]).toEqual([80, 0]);
    expect((await ask(experts)).recalled).toBe(0);
    expect((await ask(experts)).recalled).toBe(80);
    await experts.dispose();
  });
});

test('what sequences really take is never more than the memory that they were admitted to', async () => {
  const plain = await OnnxExperts.create(bundle, { threads: 1 });
  const kvBytes = plain.cacheBytes([96, 96]);
  const experts = await OnnxExperts.create(bundle, { threads: 1, kvBytes });
  const [long, short] = [experts, plain].map((one) => [one.open('safety'), one.open('helpfulness')] as const);
  const check = () => expect(experts.heldBytes).toBeLessThanOrEqual(kvBytes);
  for (const [row, count] of [
    [0, 40],
    [1, 20],
    [0, 30],
    [1, 1],
    [0, 1],
    [1, 60],
  ] as const) {
    const ids = someIds(count);
    const [found, wanted] = await Promise.all([feed(experts, long![row], ids), feed(plain, short![row], ids)]);
    expectClose(logitsOf(found), logitsOf(wanted));
    check();
  }
  expect(plain.heldBytes).toBeGreaterThan(kvBytes);
  await Promise.all([experts.dispose(), plain.dispose()]);
});
