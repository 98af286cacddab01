import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { DESIGN, madeUpResults, manyMethods } from '../testing/made-up-results.ts';
import { assertRegistered, type Registration, readRegistration, register } from './registration.ts';
import { readResults, writeResults } from './results-file.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'plimsoll-results-'));
afterAll(() => rmSync(dir, { recursive: true }));
const REGISTRATION: Registration = {
  design: DESIGN,
  format: 1,
  hypotheses: 'a'.repeat(64),
  commit: null,
  registered: '2026-01-01T00:00:00.000Z',
};

describe('a file of results', () => {
  const file = path.join(dir, 'results.jsonl.gz');

  test('holds every figure of every answer, to four digits, and the same bytes when written again', () => {
    const results = madeUpResults({ methods: manyMethods(), questions: 12 });
    results.cells[0]!.answers[0]!.figures.safetyKl = Number.POSITIVE_INFINITY;
    const bytes = writeResults(file, { results, registration: REGISTRATION });
    const found = readResults(file);
    expect(found.registration).toEqual(REGISTRATION);
    const { cells, ...head } = found.results;
    const { cells: written, ...own } = results;
    expect(head).toEqual(own);
    expect(cells.map(({ answers: _, ...cell }) => cell)).toEqual(written.map(({ answers: _, ...cell }) => cell));
    const [answers, before] = [cells, written].map((all) => all.flatMap((cell) => cell.answers));
    answers!.forEach((answer, i) => {
      const { figures, weights, ...about } = before![i]!;
      expect(answer).toMatchObject(about);
      expect(Object.keys(answer.figures).sort()).toEqual(Object.keys(figures).sort());
      for (const [figure, value] of Object.entries(figures)) {
        const kept = answer.figures[figure as 'unsafe']!;
        if (Number.isFinite(value)) expect(kept).toBeCloseTo(value, 4);
        else expect(kept).toBe(value);
      }
      for (const [at, weight] of weights.entries()) expect(answer.weights[at]).toBeCloseTo(weight, 2);
    });
    const other = path.join(dir, 'again.jsonl.gz');
    expect(writeResults(other, found)).toBe(bytes);
    expect(readFileSync(other).equals(readFileSync(file))).toBe(true);
    // Some 25 bytes an answer: the 40,000 answers of a study fit in a few megabytes.
    expect(bytes / before!.length).toBeLessThan(60);
  });

  test('is refused with the line that is wrong', () => {
    const lines = gunzipSync(readFileSync(file)).toString('utf8').trimEnd().split('\n');
    const spoilt = path.join(dir, 'spoilt.jsonl.gz');
    const write = (at: number, text: string) =>
      writeFileSync(spoilt, gzipSync(lines.map((line, i) => (i === at ? text : line)).join('\n')));
    write(0, '{"format":2}');
    expect(() => readResults(spoilt)).toThrow(/spoilt\.jsonl\.gz:1: /);
    const at = lines.findIndex((line) => line.startsWith('{"type":"cell"'));
    const cell = JSON.parse(lines[at]!);
    write(at, JSON.stringify({ ...cell, questions: cell.questions.map(() => 999) }));
    expect(() => readResults(spoilt)).toThrow(new RegExp(`spoilt\\.jsonl\\.gz:${at + 1}: \\w+ has no question 999`));
  });
});

describe('the registration of hypotheses', () => {
  const folder = () => mkdtempSync(path.join(dir, 'registered-'));
  const fileIn = (at: string) => path.join(at, 'hypotheses.json');

  test('is written once, and another file is refused from then on', () => {
    const at = folder();
    const file = fileIn(at);
    expect(readRegistration(at)).toBeNull();
    expect(() => assertRegistered(null, { file, digest: 'x' })).toThrow(/no hypotheses were registered/);
    const first = register(at, { file, digest: 'b'.repeat(64), design: DESIGN });
    expect(first.commit).toBeNull();
    expect(register(at, { file, digest: 'b'.repeat(64), design: DESIGN })).toEqual(first);
    expect(readRegistration(at)).toEqual(first);
    expect(() => register(at, { file, digest: 'c'.repeat(64), design: DESIGN })).toThrow(
      /found the digest cccc.*wanted bbbb.*do not change once there are answers/,
    );
    const seeds = DESIGN.seeds.toReversed();
    expect(() => register(at, { file, digest: 'b'.repeat(64), design: { ...DESIGN, seeds } })).toThrow(
      /seeds: found .*8.*7.*wanted .*7.*8.*begin another one in a new folder/,
    );
    expect(readdirSync(at)).toEqual(['registration.json']);
  });

  test('names the commit of the file, and refuses a file with changes that are not committed', () => {
    const at = folder();
    const git = (...words: string[]) => execFileSync('git', ['-C', at, ...words], { encoding: 'utf8' });
    git('init', '-q');
    const name = ['-c', 'user.name=A', '-c', 'user.email=a@example.org'];
    writeFileSync(fileIn(at), 'one');
    const options = { file: fileIn(at), digest: 'd'.repeat(64), design: DESIGN };
    expect(() => register(at, options)).toThrow(/changes that are not committed/);
    git('add', '.');
    git(...name, 'commit', '-q', '-m', 'hypotheses');
    writeFileSync(fileIn(at), 'two');
    expect(() => register(at, options)).toThrow(/changes that are not committed/);
    writeFileSync(fileIn(at), 'one');
    expect(register(at, options).commit).toBe(git('rev-parse', 'HEAD').trim());
  });
});
