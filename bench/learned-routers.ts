/**
 * What the learned routers cost in serving. We time a token of a layers row, alone and together
 * with the safety expert's row (as it is served). We compare it with a token of one expert, and of
 * two experts, without any router in the graph. We also time what a logits router adds to two
 * experts. If a bundle lacks a router, it gets one with random weights, because the cost does not
 * depend on them.
 *
 * Written down before measuring: a layers row alone takes 1.03 to 1.15 times one expert (the target
 * is at most 1.15). With the safety row it takes 0.95 to 1.1 times two experts. The logits router
 * takes 1.0 to 1.1 times two experts.
 */

import type { Output } from '#gpu-backend/engine/experts.ts';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import { type Bundle, loadBundle } from '#gpu-backend/model/load-bundle.ts';
import { proposeWeight } from '#gpu-backend/model/propose-weight.ts';
import { type LayersRouter, type LogitsRouter, NO_ROUTERS } from '#gpu-backend/model/router.ts';
import { alternate, medianRatio, printMeasured } from './harness/measure.ts';
import { atOnce, type DecodingBench, type Timed, timeDecoding } from './time-decoding.ts';

/** Hidden units of the random logits router. */
const WIDTH = 64;

const SAFETY: Timed = { source: 'safety' };
const HELPFULNESS: Timed = { source: 'helpfulness' };
const LAYERS: Timed = { source: 'layers', bounds: { floor: 0.3, ceiling: 1 } };

export async function benchLearnedRouters({
  bundleDir,
  tokens,
  rounds,
}: DecodingBench): Promise<Record<string, number>> {
  const bundle = await loadBundle(bundleDir);
  const logitsRouter = bundle.routers.logits ?? randomLogitsRouter(bundle);
  const layers = bundle.routers.layers ?? randomLayersRouter(bundle);
  const plain = await OnnxExperts.create({ ...bundle, routers: NO_ROUTERS });
  const routed = await OnnxExperts.create({ ...bundle, routers: { layers, logits: null } });
  const decode = (experts: OnnxExperts, sequences: Timed[]) => timeDecoding(experts, { bundle, tokens, sequences });
  const propose = (outputs: readonly Output[]) => {
    for (let row = 0; row < outputs.length; row += 2) {
      proposeWeight(logitsRouter, outputs[row]!.hidden!, outputs[row + 1]!.hidden!);
    }
  };

  const summary: Record<string, number> = {};
  for (const answers of [1, 4, 8]) {
    const times = (...sequences: Timed[]) => Array.from({ length: answers }, () => sequences).flat();
    const hidden = times({ ...SAFETY, want: { hidden: true } }, { ...HELPFULNESS, want: { hidden: true } });
    const measured = await alternate(
      [
        { name: 'one expert', run: () => decode(plain, times(SAFETY)) },
        { name: 'layers row alone', run: () => decode(routed, times(LAYERS)) },
        { name: 'two experts', run: () => decode(plain, times(SAFETY, HELPFULNESS)) },
        { name: 'layers row and safety row', run: () => decode(routed, times(SAFETY, LAYERS)) },
        {
          name: 'two experts, logits router',
          run: () => timeDecoding(plain, { bundle, tokens, sequences: hidden, onStep: propose }),
        },
      ],
      { rounds },
    );
    console.log(`\nlearned routers, ${tokens} tokens, ${atOnce(answers)} (ms a step, graph and router)`);
    printMeasured(measured, 'ms');
    const [one, layersAlone, two, layersServed, proposed] = measured;
    summary[`${answers} at once: layers row alone / one expert`] = medianRatio(layersAlone, one);
    summary[`${answers} at once: layers row and safety row / one expert`] = medianRatio(layersServed, one);
    summary[`${answers} at once: layers row and safety row / two experts`] = medianRatio(layersServed, two);
    summary[`${answers} at once: two experts with a logits router / without`] = medianRatio(proposed, two);
  }
  await Promise.all([plain.dispose(), routed.dispose()]);
  return summary;
}

const noise = (length: number) => Float32Array.from({ length }, () => 0.1 * (2 * Math.random() - 1));

function randomLayersRouter({ config }: Bundle): LayersRouter {
  const gate = () => ({ weight: noise(config.intermediate_size), bias: 0 });
  const layers = Array.from({ length: config.num_hidden_layers }, () => ({ alpha: gate(), beta: gate() }));
  return { variant: 'corrected', layers };
}

function randomLogitsRouter({ config }: Bundle): LogitsRouter {
  return {
    width: WIDTH,
    hiddenWeight: noise(WIDTH * 2 * config.hidden_size),
    hiddenBias: noise(WIDTH),
    outWeight: noise(WIDTH),
    outBias: 0,
  };
}
