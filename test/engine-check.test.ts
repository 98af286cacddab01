/**
 * `examples/vllm`, run as an operator would run it. In the place of vLLM and SGLang stand servers
 * of ours that speak their HTTP over the demo's experts; everything else is what an operator runs.
 */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import { openBundle, type ServedBundle } from '#gpu-backend/model/load-bundle.ts';
import { encodeAsEngines } from '#gpu-backend/remote/testing/encode-as-engines.ts';
import { PROTOCOLS, type Protocol, serveEngine } from '#gpu-backend/remote/testing/engine-servers.ts';

const CHECK = path.join(import.meta.dirname, '../examples/vllm/check.mjs');
const DEMO = path.join(import.meta.dirname, '../models/demo');

let head: ServedBundle;
let experts: OnnxExperts;
let folder: string;
const ends: (() => Promise<void>)[] = [];
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'engine-check-'));
  head = await openBundle(DEMO);
  experts = await OnnxExperts.create(head, { threads: 1 });
});
afterAll(async () => {
  await Promise.all(ends.map((end) => end()));
  await experts.dispose();
  await rm(folder, { recursive: true });
});

async function serve(protocol: Protocol): Promise<string> {
  const { url, close } = await serveEngine(experts, protocol, { encode: encodeAsEngines(head.tokenizer) });
  ends.push(close);
  return url;
}

/** What the check prints, and its exit code. */
function check(...options: string[]) {
  return run(CHECK, ['--model', DEMO, '--tokens', '6', '--context', '256', ...options]);
}

function run(script: string, args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...args], (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err });
    });
  });
}

test('over vLLM’s protocol every law is kept, and the table says what came back', async () => {
  const { code, out, err } = await check('--vllm-url', await serve(PROTOCOLS.vllm()));
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toMatch(/^1\. vllm answers at http/m);
  expect(out).toMatch(/engine +safety at http:\S+ after \d+ tokens says/);
  expect(out.match(/ kept$/gm)).toHaveLength(20);
  expect(out).toMatch(/^20 of 20 answers kept every law/m);
  const [, known, tokens] = /^(\d+) of (\d+) tokens were among/m.exec(out)!;
  expect(known).toBe(tokens);
  expect(Number(tokens)).toBeGreaterThan(60);
});

test('in a fresh clone, where nothing is installed, it reads its options before it needs a package', async () => {
  const clone = path.join(folder, 'clone');
  await cp(path.dirname(CHECK), path.join(clone, 'examples/vllm'), { recursive: true });
  const { code, err } = await run(path.join(clone, 'examples/vllm/check.mjs'), []);
  expect(err).toBe('check: --model is missing: the folder with config.json and tokenizer.json\n');
  expect(code).toBe(1);
});

test('over SGLang’s protocol too, with a system prompt of the safety expert’s own', async () => {
  const file = path.join(folder, 'prompt.txt');
  await writeFile(file, 'You are careful.');
  const url = await serve(PROTOCOLS.sglang());
  const { code, out, err } = await check('--sglang-url', url, '--safety-prompt', file, '--questions', '4');
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toMatch(/^4 of 4 answers kept every law/m);
});

test('an engine that says something else when it is asked again does not pass', async () => {
  const honest = PROTOCOLS.vllm();
  const seen = new Set<string>();
  let asked = 0;
  const forgetful: Protocol = {
    ...honest,
    answer: (body, next) =>
      honest.answer(body, (role, ids) => {
        if (role === 'helpfulness') asked++;
        const key = ids.join();
        // `model check` asks the helpfulness expert some times, and has to find nothing.
        const lies = role === 'safety' && asked > 24 && seen.has(key);
        if (role === 'safety') seen.add(key);
        return next(lies ? 'helpfulness' : role, ids);
      }),
  };
  const { code, out } = await check('--vllm-url', await serve(forgetful), '--questions', '4');
  expect(code).toBe(1);
  expect(out).toMatch(/BROKEN$/m);
  expect(out).toMatch(
    /^ +(asked again, the account differs by|token \d+ is not among the safety expert's 20 likeliest)/m,
  );
});
