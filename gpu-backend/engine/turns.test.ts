import { expect, test } from 'vitest';
import type { Output } from './experts.ts';
import { asError, Turns } from './turns.ts';

const output = (id: number): Output => ({
  row: { logits: Float32Array.of(id) },
  earlier: [],
  hidden: null,
  alpha: null,
});

test('a run begins when the one before it has succeeded or failed', async () => {
  const turns = new Turns();
  const first = Promise.withResolvers<Output[]>();
  const begun: string[] = [];
  const run = (name: string, result: () => Promise<Output[]>) =>
    Promise.allSettled(
      turns.settle(1, () => {
        begun.push(name);
        return result();
      }),
    );
  const all = [
    run('a', () => first.promise),
    run('b', () => Promise.reject(new Error('out of memory'))),
    run('c', async () => [output(1)]),
  ];
  await new Promise((resolve) => setImmediate(resolve));
  expect(begun).toEqual(['a']);
  first.resolve([output(0)]);
  const settled = (await Promise.all(all)).flat();
  expect(begun).toEqual(['a', 'b', 'c']);
  expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
});

test('each step gets its own outcome of the run', async () => {
  const steps = new Turns().settle(3, async () => [output(0), new Error('this one failed'), output(2)]);
  const [first, second, third] = await Promise.allSettled(steps);
  expect(first).toEqual({ status: 'fulfilled', value: output(0) });
  expect(second).toMatchObject({ status: 'rejected', reason: { message: 'this one failed' } });
  expect(third).toEqual({ status: 'fulfilled', value: output(2) });
});

test('if a run throws, every step fails; a step without an outcome fails too', async () => {
  const thrown = new Turns().settle(2, () => Promise.reject(new Error('out of memory')));
  for (const step of thrown) await expect(step).rejects.toThrow('out of memory');
  const [first, second] = await Promise.allSettled(new Turns().settle(2, async () => [output(0)]));
  expect(first!.status).toBe('fulfilled');
  expect(second).toMatchObject({ status: 'rejected', reason: { message: 'the driver forgot a step' } });
});

test('rest waits for all runs requested so far and never rejects', async () => {
  const turns = new Turns();
  await turns.rest();
  const gate = Promise.withResolvers<Output[]>();
  const [step] = turns.settle(1, () => gate.promise);
  let rested = false;
  const resting = turns.rest().then(() => {
    rested = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(rested).toBe(false);
  gate.reject(new Error('stopped'));
  await expect(step).rejects.toThrow('stopped');
  await resting;
});

test('asError turns whatever was thrown into an error', () => {
  const error = new TypeError('x');
  expect(asError(error)).toBe(error);
  expect(asError('plain text')).toEqual(new Error('plain text'));
  expect(asError(undefined)).toEqual(new Error('undefined'));
});
