/**
 * Whether the CUDA provider has a kernel for every operator of the serving graph, in its types. No
 * machine of ours has run it: this reads the graph against onnxruntime's own list of kernels. An
 * operator that is not in it would run on the CPU, between two copies of its tensors.
 */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import protobuf from 'protobufjs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { Graph } from '../graph/graph.ts';
import { sigmoid } from '../graph/ops.ts';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { TINY_FAMILIES, TINY_FAMILY_NAMES } from '../model/fixtures/tiny-families.ts';
import { openBundle } from '../model/load-bundle.ts';
import { buildServingGraph } from '../model/serving-graph.ts';
import { restoreWeights } from '../model/testing/restore-weights.ts';
import { writeBundle } from '../model/write-bundle.ts';
import { servingWeights } from './serving-weights.ts';

const read = (file: string) => readFileSync(path.join(import.meta.dirname, file), 'utf8');
/** For each operator the name of each input's types; the last one stands for all further inputs. */
const { kernels } = z
  .object({ kernels: z.record(z.string(), z.object({ inputs: z.array(z.string()) }).catchall(z.array(z.string()))) })
  .parse(JSON.parse(read('../model/fixtures/cuda-kernels.json')));

const ModelProto = protobuf.parse(read('../graph/onnx.proto'), { keepCase: true }).root.lookupType('onnx.ModelProto');
/** ONNX's numbers for element types. */
const TYPES: Record<number, string> = { 1: 'float', 2: 'uint8', 7: 'int64', 10: 'float16', 16: 'bfloat16' };
const Typed = z.object({ name: z.string(), type: z.object({ tensor_type: z.object({ elem_type: z.int() }) }) });
const Model = z.object({
  graph: z.object({
    input: z.array(Typed),
    initializer: z.array(z.object({ name: z.string(), data_type: z.int() })).default([]),
    node: z.array(
      z.object({
        op_type: z.string(),
        domain: z.string().default(''),
        input: z.array(z.string()),
        output: z.array(z.string()),
        attribute: z.array(z.object({ name: z.string(), i: z.coerce.number().optional() })).default([]),
      }),
    ),
  }),
});

/** What CUDA lacks of a model: `operator(types)`. */
function lacks(model: Uint8Array): string[] {
  const { graph } = Model.parse(ModelProto.toObject(ModelProto.decode(model), { longs: Number }));
  const typeOf = new Map<string, string>();
  for (const { name, type } of graph.input) typeOf.set(name, TYPES[type.tensor_type.elem_type]!);
  for (const { name, data_type } of graph.initializer) typeOf.set(name, TYPES[data_type]!);
  const missing = new Set<string>();
  for (const { op_type, domain, input, output, attribute } of graph.node) {
    const types = input.filter((name) => name !== '').map((name) => typeOf.get(name)!);
    const kernel = kernels[domain === '' ? op_type : `${domain}.${op_type}`];
    const names = kernel?.inputs ?? [];
    const fits = types.every((type, i) => kernel?.[names[i] ?? names.at(-1)!]?.includes(type));
    if (kernel === undefined || !fits) missing.add(`${op_type}(${types.join(', ')})`);
    // Every operator here gives what its first input has, except for a cast.
    const to = attribute.find(({ name }) => name === 'to')?.i;
    for (const name of output) typeOf.set(name, to === undefined ? types[0]! : TYPES[to]!);
  }
  return [...missing];
}

let root: string;
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'cuda-kernels-'));
});
afterAll(() => rm(root, { recursive: true }));

/** What CUDA lacks of the graphs that onnx-experts.ts makes for the bundle in `dir`. */
async function lacksOf(dir: string): Promise<string[]> {
  const bundle = await openBundle(dir);
  return (['prompt', 'answer'] as const).flatMap((reads) =>
    lacks(buildServingGraph(bundle.config, servingWeights(bundle, { provider: 'cuda', reads }))),
  );
}

test.each(TINY_FAMILY_NAMES)('CUDA has every operator of %s', async (name) => {
  const dir = await mkdtemp(path.join(root, 'family-'));
  await writeBundle(dir, tinyBundle({ routers: true, config: TINY_FAMILIES[name] }), { dtype: 'f32' });
  expect(await lacksOf(dir)).toEqual([]);
});

test.each([
  'F16',
  'BF16',
  { type: 'int8', block: 32, arithmetic: 'exact' },
  { type: 'int4', block: 32, arithmetic: 'exact' },
  { type: 'int4', block: 32, arithmetic: 'fast' },
  { type: 'int4', block: 32, arithmetic: 'mixed' },
  { type: 'int8', block: 32, arithmetic: 'mixed' },
] as const)('CUDA has every operator for weights as %o', async (as) => {
  const dir = await mkdtemp(path.join(root, 'stored-'));
  // Whole blocks of 32 everywhere.
  const config = { hidden_size: 64, intermediate_size: 96 };
  await writeBundle(dir, tinyBundle({ config }), { dtype: 'f32' });
  // The table too, which an import stores in 8 bits.
  await restoreWeights(dir, as, (_, type) => type);
  expect(await lacksOf(dir)).toEqual([]);
});

test('an operator or a type that CUDA lacks is seen', () => {
  const graph = new Graph('g');
  const bytes = graph.input('bytes', 'uint8', [2]);
  graph.output('low', graph.emit('BitwiseAnd', [bytes, bytes], [{ dtype: 'uint8', shape: [2] }])[0]!);
  graph.output('norm', sigmoid(bytes));
  expect(lacks(graph.toModel())).toEqual(['BitwiseAnd(uint8, uint8)', 'Sigmoid(uint8)']);
});
