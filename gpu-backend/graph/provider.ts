/**
 * What runs the graphs: onnxruntime's execution providers that we offer. The table has, for each of
 * them, what a user can do when it does not start.
 */
import * as z from 'zod';

export const Provider = z.enum(['cpu', 'webgpu', 'cuda']);
export type Provider = z.infer<typeof Provider>;

/** What a user may ask for. `auto` takes the best that this machine has (choose-provider.ts). */
export const ProviderChoice = z.enum([...Provider.options, 'auto']);
export type ProviderChoice = z.infer<typeof ProviderChoice>;

/** A provider that was asked for and cannot run here. It says why, and what to install. */
export class ProviderError extends Error {
  override readonly name = 'ProviderError';
  readonly provider: Provider;

  constructor(provider: Provider, why: string, options?: ErrorOptions) {
    super(`provider ${provider}: ${why}\n  ${REMEDY[provider]}`, options);
    this.provider = provider;
  }
}

const INSTALL_CUDA = 'node node_modules/onnxruntime-node/script/install.js --onnxruntime-node-install=cuda12';
const REMEDY: Record<Provider, string> = {
  cpu: 'The package onnxruntime-node may be damaged: install the packages again.',
  webgpu:
    'WebGPU needs a GPU and its driver. On Linux that is a Vulkan driver and Vulkan’s loader, as in: ' +
    'apt-get install libvulkan1 mesa-vulkan-drivers. --provider cpu needs neither.',
  cuda:
    `CUDA needs Linux on x64, an NVIDIA driver, CUDA 12, cuDNN 9, and onnxruntime’s own files for it: ${INSTALL_CUDA}. ` +
    '--provider cpu needs none of them.',
};
