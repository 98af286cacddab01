/**
 * Checks in some minutes whether a model under vLLM or SGLang can hold the experts of a gate node:
 *
 *     node examples/vllm/check.mjs --model DIR --safety ADAPTER --helpfulness ADAPTER
 *
 * It starts the engine with two adapters, makes the bundle, runs `plimsoll model check`, starts a
 * gate node and an edge, asks twenty questions, and checks the laws on what comes back. The exit
 * code is 0 if all were kept. README.md has the options.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { likeliest } from './engines.mjs';
import { endAll, freePort, isHealthy, plimsoll, startEngine, startStack } from './processes.mjs';
import { readSettings } from './settings.mjs';
import { printAnswer, printSums } from './table.mjs';

const MODEL_ID = 'engine-check';
/** The demo's balanced tenant: its policy has a floor of 0.3 and a budget of 20 nats. */
const KEY = 'pk-demo-balanced';
const FLOOR = 0.3;
/** Each question asks for one of these budgets, in turn. */
const BUDGETS = [0, 1, 4, 16];
/** Loading a large model, and compiling it, takes minutes. */
const ENGINE_START_MS = 20 * 60_000;
const ENGINE_THERE_MS = 60_000;

const folder = await mkdtemp(path.join(tmpdir(), 'plimsoll-engine-check-'));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => end(130));
let failed = true;
try {
  failed = !(await check(await readSettings(process.argv.slice(2))));
} catch (error) {
  console.error(`check: ${error.message}`);
}
await end(failed ? 1 : 0);

async function end(code) {
  await endAll();
  await rm(folder, { recursive: true, force: true });
  process.exit(code);
}

/** Returns whether every law was kept. */
async function check(settings) {
  const { kind, engine, experts, key, topK } = settings;
  const url = settings.url ?? (await startOwn(settings));
  if (settings.url !== null) await isHealthy(url, ENGINE_THERE_MS);
  console.log(`1. ${kind} answers at ${url}`);

  const bundle = path.join(folder, 'bundle');
  const kindOf = ({ name }) => (name === engine.base ? 'base' : 'adapter');
  await plimsoll([
    ...['model', 'remote', settings.model, '--out', bundle, '--id', MODEL_ID, '--top-k', `${topK}`],
    ...['--safety', kindOf(experts.safety), '--helpfulness', kindOf(experts.helpfulness)],
    ...(settings.promptFile === null ? [] : ['--safety-prompt', settings.promptFile]),
  ]);
  console.log('2. there is a bundle without weights');
  // It needs a package, and the first command has installed those.
  const { checkAnswer } = await import('./laws.mjs');

  const engines = path.join(folder, 'engines.json');
  const place = ({ name: model }) => ({
    ...{ engine: kind, urls: [url], model },
    ...(key !== null && { api_key_env: engine.keyVariable }),
  });
  const places = { safety: place(experts.safety), helpfulness: place(experts.helpfulness) };
  await writeFile(engines, JSON.stringify(places));
  const env = key === null ? {} : { [engine.keyVariable]: key };
  const said = await plimsoll(['model', 'check', bundle, '--engines', engines], env);
  console.log(`3. plimsoll model check:\n${said.replace(/^/gm, '     ')}`);

  const data = path.join(folder, 'data');
  const edge = await startStack({ bundle, engines, context: settings.context, data, env });
  console.log(`4. a gate node and an edge answer at ${edge}\n`);

  const rows = [];
  for (const [i, prompt] of settings.prompts.entries()) {
    const row = await askAndCheck(
      { prompt, budget: BUDGETS[i % BUDGETS.length], seed: i + 1 },
      { settings, url, edge, checkAnswer },
    );
    rows.push(row);
    printAnswer(i, row);
  }
  return printSums(rows, topK);
}

async function startOwn({ engine, model, experts, context, topK, key }) {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const adapters = Object.values(experts).filter(({ dir }) => dir !== null);
  const env = key === null ? {} : { [engine.keyVariable]: key };
  const command = await engine.command({ model, adapters, port, context, topK });
  await startEngine(command, { url, env, limitMs: ENGINE_START_MS });
  return url;
}

/** Asks one question through the edge, and then the engine about every token of the answer. */
async function askAndCheck({ prompt, budget, seed }, { settings, url, edge, checkAnswer }) {
  const { engine, experts, key, topK } = settings;
  const messages = [{ role: 'user', content: prompt }];
  // What the receipt's digest covers, in its order. What follows is neutral and so not in it.
  const request = { model: MODEL_ID, messages, max_tokens: settings.tokens, stop: [], seed, temperature: 1, top_p: 1 };
  const neutral = { top_k: -1, min_p: 0, repetition_penalty: 1 };
  const began = performance.now();
  const answer = await post(`${edge}/v1/chat/completions`, {
    ...{ ...request, ...neutral, plimsoll: { budget, trace: 'tokens' } },
  });
  const ms = performance.now() - began;
  // The safety expert reads its own prompt, too.
  const seen = settings.prompt === null ? messages : [{ role: 'system', content: settings.prompt }, ...messages];
  const { tokens: promptIds } = await post(`${edge}/tokenize`, { model: MODEL_ID, messages: seen });
  const jwks = await (await fetch(`${edge}/.well-known/jwks.json`)).json();
  const askSafety = (ids) =>
    likeliest(engine, { url, key, topK, name: experts.safety.name, ids: [...promptIds, ...ids] });
  const digested = { ...request, expert_logprobs: true };
  const found = await checkAnswer(answer, { request: digested, jwks, floor: FLOOR, budget, topK, askSafety });
  return { ...found, prompt, budget, msPerToken: ms / Math.max(1, found.tokens) };
}

async function post(url, body) {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${KEY}` },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${url}: ${answer.status}: ${text.slice(0, 500)}`);
  return JSON.parse(text);
}
