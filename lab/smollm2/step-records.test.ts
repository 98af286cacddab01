import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { digestOfFiles, doStep, forgetStep, isDone, readRecord, type Step } from './step-records.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'plimsoll-steps-'));
});
afterEach(() => rmSync(dir, { recursive: true }));
const at = (name: string) => path.join(dir, name);

type Name = 'first' | 'second' | 'other';
const step = (name: Name, needs: readonly Name[] = [], inputs: Record<string, unknown> = {}): Step<Name, string> => ({
  name,
  needs,
  inputs: () => inputs,
  writes: [`${name}.txt`],
  run: async (text) => {
    writeFileSync(at(`${name}.txt`), `${name} ${text}`);
  },
  digest: () => digestOfFiles(dir, [`${name}.txt`]),
});
const options = () => ({ dir, context: 'a' });

test('a step is done once its record is there', async () => {
  const first = step('first', [], { beta: 0.1 });
  expect(await isDone(first, options())).toBe(false);
  let clock = 0;
  await doStep(first, { ...options(), now: () => (clock += 2000) });
  expect(await isDone(first, options())).toBe(true);
  expect(readRecord(dir, 'first')).toMatchObject({ inputs: { beta: 0.1 }, seconds: 2 });
});

test('a step that was stopped, or whose record cannot be written, is not done', async () => {
  const broken = {
    ...step('first'),
    run: async () => {
      throw new Error('killed');
    },
  };
  await expect(doStep(broken, options())).rejects.toThrow('killed');
  expect(await isDone(broken, options())).toBe(false);
});

test('a step that has begun with other inputs is an error that names them and the way out', async () => {
  let broken = true;
  const training = (beta: number): Step<Name, string> => ({
    ...step('first', [], { beta }),
    goesOn: true,
    run: async (text) => {
      if (broken) throw new Error('killed');
      writeFileSync(at('first.txt'), text);
    },
  });
  await expect(doStep(training(0.1), options())).rejects.toThrow('killed');
  broken = false;
  await expect(doStep(training(0.2), options())).rejects.toThrow(
    'first.begun.json: the step first was begun with beta = 0.1, now it is 0.2: --redo first does it and what builds on it again',
  );
  forgetStep('first', { dir, steps: [training(0.2)] });
  await doStep(training(0.2), options());
  expect(await isDone(training(0.2), options())).toBe(true);
  expect(existsSync(at('steps/first.begun.json'))).toBe(false);
});

test('a step needs the steps before it, and takes their outputs as inputs', async () => {
  const [first, second] = [step('first'), step('second', ['first'])];
  await expect(doStep(second, options())).rejects.toThrow('the step second needs the step first, which is not done');
  await doStep(first, options());
  await doStep(second, options());
  expect(readRecord(dir, 'second')!.needs.first).toBe(readRecord(dir, 'first')!.output);
});

test('an input may have the name of a need', async () => {
  const [first, second] = [step('first'), step('second', ['first'], { first: 'a setting' })];
  await doStep(first, options());
  await doStep(second, options());
  const other = step('second', ['first'], { first: 'another' });
  await expect(isDone(other, options())).rejects.toThrow('with first = "a setting", now it is "another"');
  await doStep(first, { ...options(), context: 'b' });
  await expect(isDone(second, options())).rejects.toThrow('the step second was done with the output of first = "');
});

test('other inputs than before are an error that names them and the way out', async () => {
  await doStep(step('first', [], { beta: 0.1, more: [1] }), options());
  await expect(isDone(step('first', [], { beta: 0.2, more: [1] }), options())).rejects.toThrow(
    'first.json: the step first was done with beta = 0.1, now it is 0.2: --redo first does it and what builds on it again',
  );
  await expect(isDone(step('first', [], { beta: 0.1 }), options())).rejects.toThrow('more = [1], now it is unset');
});

test('an output that has changed since is an error', async () => {
  await doStep(step('first'), options());
  writeFileSync(at('first.txt'), 'something else');
  await expect(isDone(step('first'), options())).rejects.toThrow('first.txt: found the digest');
});

test('an output that is gone is an error', async () => {
  await doStep(step('first'), options());
  rmSync(at('first.txt'));
  await expect(isDone(step('first'), options())).rejects.toThrow(
    /first\.txt: what the step first wrote cannot be read \(ENOENT.*\): --redo first/,
  );
});

test('a record that is no record is an error that names the file', async () => {
  await doStep(step('first'), options());
  writeFileSync(at('steps/first.json'), '{"inputs":');
  expect(() => readRecord(dir, 'first')).toThrow('first.json: not JSON');
  writeFileSync(at('steps/first.json'), '{}');
  expect(() => readRecord(dir, 'first')).toThrow(/first\.json: .*inputs/);
});

test('forgetting a step forgets what builds on it, and nothing else', async () => {
  const steps = [step('first'), step('other'), step('second', ['first'])];
  for (const each of steps) await doStep(each, options());
  expect(forgetStep('first', { dir, steps })).toEqual(['first', 'second']);
  expect(readRecord(dir, 'first')).toBeNull();
  expect(existsSync(at('second.txt'))).toBe(false);
  expect(readFileSync(at('other.txt'), 'utf8')).toBe('other a');
  expect(await isDone(steps[1]!, options())).toBe(true);
});
