/** Real tries, in processes of their own, on a machine that is made to have no GPU. */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { chooseProvider, probeProvider } from './choose-provider.ts';
import { Graph } from './graph.ts';
import { neg } from './ops.ts';
import { GraphSession } from './session.ts';

const CUDA_FILES = path.join(
  import.meta.dirname,
  '../../node_modules/onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime_providers_*.so',
);
const here = process.platform === 'linux' && process.arch === 'x64' && globSync(CUDA_FILES).length === 0;

describe.runIf(here)('on Linux without a Vulkan driver and without CUDA', () => {
  // Vulkan's loader takes the drivers that these name, and no others.
  beforeEach(() => {
    for (const name of ['VK_ICD_FILENAMES', 'VK_DRIVER_FILES']) vi.stubEnv(name, '/nonexistent/icd.json');
  });
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  test('the CPU works', async () => {
    expect(await probeProvider('cpu')).toEqual({ works: true, realGpu: false });
  });

  test('WebGPU is an error that says what is missing and what to install', async () => {
    await expect(chooseProvider('webgpu')).rejects.toThrow(
      /^provider webgpu: Failed to get a WebGPU adapter.*\n.*apt-get install libvulkan1 mesa-vulkan-drivers/,
    );
  });

  test('CUDA is an error that names the file that is missing and the command that installs it', async () => {
    const wanted =
      /^provider cuda: Failed to load (libonnxruntime\S+): cannot open.*\n.*: node (node_modules\S+) --onnxruntime-node-install=cuda12/;
    const error = await chooseProvider('cuda').catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ message: expect.stringMatching(wanted) });
    const [, , script] = wanted.exec((error as Error).message)!;
    expect(existsSync(path.join(import.meta.dirname, '../..', script!))).toBe(true);
  });

  test('auto takes the CPU and gives both reasons', async () => {
    const { provider, passedOver } = await chooseProvider('auto');
    expect(provider).toBe('cpu');
    expect(passedOver).toEqual([expect.stringMatching(/^provider cuda/), expect.stringMatching(/^provider webgpu/)]);
  });

  test.each(['webgpu', 'cuda'] as const)('a session on %s is refused, and this process lives on', async (provider) => {
    const graph = new Graph('g');
    graph.output('y', neg(graph.input('x', 'float', [1])));
    const model = graph.toModel();
    await expect(GraphSession.create(model, { provider })).rejects.toMatchObject({ name: 'ProviderError', provider });
    await (await GraphSession.create(model)).release();
  });
});

test('a probe starts no other, not even from a process whose script was given by -e', () => {
  const script = `
    import { probeProvider } from '#gpu-backend/graph/choose-provider.ts';
    console.log(JSON.stringify(await probeProvider('cpu')));
  `;
  const { stdout } = spawnSync(process.execPath, ['-e', script], {
    cwd: path.join(import.meta.dirname, '../..'),
    encoding: 'utf8',
  });
  expect(stdout).toBe('{"works":true,"realGpu":false}\n');
});

test('a model at fault is not taken for a missing provider', async () => {
  await expect(GraphSession.create(Uint8Array.of(1, 2, 3))).rejects.not.toMatchObject({ name: 'ProviderError' });
});
