/** `plimsoll model check` of a bundle whose experts run on other engines. */
import { openRemoteBundle } from '#gpu-backend/model/load-bundle.ts';
import { checkEngines, checkTruncation } from '#gpu-backend/remote/check-engines.ts';
import { readEnginesFile, remoteEngines } from '#gpu-backend/remote/engines-file.ts';
import { tokenTexts } from '#gpu-backend/remote/token-texts.ts';
import { untilSignal } from '../options/until-signal.ts';

/** Throws an Error if a server is not what the bundle needs. */
export async function checkRemoteBundle(
  dir: string,
  {
    engines: file,
    run,
    print,
  }: { engines: string | undefined; run: boolean; print: (label: string, text: string) => void },
): Promise<void> {
  const bundle = await openRemoteBundle(dir);
  const { id, digest, config, topK, tokenizer, manifest } = bundle;
  print('id', id);
  print('digest', `${digest} (of all but the experts, which run elsewhere)`);
  print('tokenizer', `${tokenizer.vocabSize} tokens, of ${config.vocab_size} rows`);
  print('context', `${config.max_position_embeddings} tokens`);
  print('rows', `the ${topK} likeliest tokens`);
  for (const { name, role, adapter = true } of manifest.experts) {
    print('expert', `${name}: ${role}, ${adapter ? 'an adapter' : 'the base'} on an engine elsewhere`);
  }
  if (!run) return;
  if (file === undefined)
    throw new Error('--engines is missing: the file that says where the experts run; or --no-run');
  const engines = remoteEngines(await readEnginesFile(file), {
    topK,
    vocabSize: config.vocab_size,
    env: process.env,
    idOfText: tokenTexts(bundle),
  });
  const [found, cost] = await untilSignal('stopped', async (signal) => {
    const findings = await checkEngines(engines, { head: bundle, signal });
    if (findings.some(({ problem }) => problem !== undefined)) return [findings, null] as const;
    return [
      findings,
      await checkTruncation(engines, { head: bundle, weight: manifest.default_weight, signal }),
    ] as const;
  });
  for (const { role, url, problem, unknown, told } of found) {
    if (told !== undefined) {
      const { promptTokens, likeliest, logprob, ms } = told;
      const says = `after ${promptTokens} tokens says ${JSON.stringify(likeliest)} (${logprob.toFixed(3)} nats, ${ms.toFixed(0)} ms)`;
      print('engine', `${role} at ${url}: ${says}`);
    }
    if (unknown !== undefined) print('unknown', `${role} at ${url}: ${unknown}`);
    if (problem !== undefined) print('problem', `${role} at ${url}: ${problem}`);
  }
  if (cost !== null) {
    const { positions, left, moves } = cost;
    print('left out', `${share(left.safety)} of the safety expert, ${share(left.helpfulness)} of the other one`);
    const by = `${share(moves.geometric)} (geometric), ${share(moves.arithmetic)} (arithmetic)`;
    print('mixture', `at weight ${manifest.default_weight} off by at most ${by}, over ${positions} positions`);
  }
  const bad = found.filter(({ problem }) => problem !== undefined).length;
  if (bad > 0) throw new Error(`${bad} of ${found.length} servers are not fit to serve this bundle`);
}

/** A mean and the largest. */
const share = ({ mean, most }: { mean: number; most: number }) =>
  `${(100 * mean).toFixed(2)} % (once ${(100 * most).toFixed(2)} %)`;
