import { expect, test } from 'vitest';
import { planOf, planTable, RATES } from './plan.ts';
import { commandOf, SETTINGS, scaled } from './settings.ts';
import { STEP_NAMES } from './steps.ts';

const HOUR = 3600;

test('the whole recipe fits in six hours of two cores, the probe in one of them', () => {
  const { steps, seconds } = planOf(SETTINGS);
  expect(seconds).toBeLessThan(6 * HOUR);
  expect(steps.find(({ step }) => step === 'probes')!.seconds).toBeLessThan(HOUR);
});

test('the probe reads all of its prompts from a scale of 0.3 on', () => {
  const share = (scale: number) => scaled(SETTINGS, scale).probe.share;
  expect([1, 0.5, 0.3, 0.15, 0.03].map(share)).toEqual([1, 1, 1, 0.5, 0.1]);
  const seconds = (scale: number) =>
    planOf(scaled(SETTINGS, scale)).steps.find(({ step }) => step === 'probes')!.seconds;
  expect(seconds(0.3)).toBe(seconds(1));
  expect(seconds(0.15)).toBeLessThan(seconds(1));
});

test('the plan has every step, in order', () => {
  expect(planOf(SETTINGS).steps.map(({ step }) => step)).toEqual(STEP_NAMES);
});

test('a step takes as long as its tokens', () => {
  const steps = new Map(planOf(SETTINGS).steps.map((step) => [step.step, step]));
  const { tokens, seconds } = steps.get('safety')!;
  const [train, dev] = [295_000, 17_000];
  expect(tokens).toEqual({ dpo: train, forward: 2 * train + 5 * dev });
  expect(seconds - steps.get('data')!.seconds).toBeCloseTo(train / RATES.dpo + (2 * train + 5 * dev) / RATES.forward);
});

test('a quarter of the data takes a quarter of the work, but for the probe', () => {
  const work = (scale: number) => {
    const steps = planOf(scaled(SETTINGS, scale)).steps.filter(({ step }) => step !== 'probes');
    return steps.reduce((sum, { seconds }) => sum + seconds, -steps.length * steps[0]!.seconds);
  };
  expect(work(0.25) / work(1)).toBeCloseTo(0.25, 1);
});

test('the command says what was scaled', () => {
  expect(commandOf(SETTINGS)).toBe('npx plimsoll train smollm2 --seed 7');
  expect(commandOf(scaled(scaled(SETTINGS, 0.5), 0.5))).toBe('npx plimsoll train smollm2 --scale 0.25 --seed 7');
});

test('no amount of data is scaled to nothing', () => {
  const { prompts, pairs, dual } = scaled(SETTINGS, 1e-9);
  for (const amounts of [prompts, pairs.safer.dev, pairs.better.train, dual.dev]) {
    expect(Object.values(amounts).every((amount) => amount === 1)).toBe(true);
  }
});

test('the table says what is done and what is left', () => {
  const plan = planOf(SETTINGS);
  const table = planTable(plan, new Set(['data', 'answers']));
  expect(table).toMatch(/data {9}done/);
  expect(table).toMatch(/safety {7}at most \d+m\d\ds {2,}295k dpo, 675k forward/);
  expect(table).toMatch(/at most 4h\d\dm of two cores in all, [34]h\d\dm from here$/);
});
