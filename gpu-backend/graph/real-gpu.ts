/**
 * Whether WebGPU in this process runs on a GPU or on a driver that only imitates one. onnxruntime
 * does not tell, so we look at what is loaded. Where nothing can be known, the answer is no: it
 * only decides what `auto` takes.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';

export type Seen = {
  platform: NodeJS.Platform;
  /** File names of the libraries in this process. */
  libraries: readonly string[];
  /** The kernel's drivers of this machine's GPUs. */
  kernelDrivers: readonly string[];
};

/** A GPU on Linux is there when the kernel drives it and its Vulkan driver is loaded. */
const LINUX_GPUS: readonly { kernel: RegExp; vulkan: RegExp }[] = [
  { kernel: /^nvidia/, vulkan: /^lib(GLX|EGL)_nvidia\.so/ },
  { kernel: /^amdgpu$/, vulkan: /^(libvulkan_radeon|amdvlk64)\.so/ },
  { kernel: /^(i915|xe)$/, vulkan: /^libvulkan_intel(_hasvk)?\.so/ },
  { kernel: /^nouveau$/, vulkan: /^libvulkan_nouveau\.so/ },
];

/** Whether what was seen proves that WebGPU runs on a GPU. See `look`. */
export function isRealGpu({ platform, libraries, kernelDrivers }: Seen): boolean {
  // Every Mac that we support has a GPU, and Metal has no imitation of one.
  if (platform === 'darwin') return true;
  // Windows has an imitation (WARP), and its libraries are loaded either way.
  if (platform !== 'linux') return false;
  return LINUX_GPUS.some(
    ({ kernel, vulkan }) =>
      kernelDrivers.some((name) => kernel.test(name)) && libraries.some((name) => vulkan.test(name)),
  );
}

/** What this process sees. Call it once a session on WebGPU is open. */
export function look(): Seen {
  const { platform } = process;
  if (platform !== 'linux') return { platform, libraries: [], kernelDrivers: [] };
  const maps = readFileSync('/proc/self/maps', 'utf8').matchAll(/\/([^/\n]+\.so[^/\n]*)$/gm);
  const cards = '/sys/class/drm';
  const kernelDrivers = (existsSync(cards) ? readdirSync(cards) : [])
    .filter((name) => name.startsWith('renderD'))
    .map((name) => path.join(cards, name, 'device/driver'))
    .filter((link) => existsSync(link))
    .map((link) => path.basename(readlinkSync(link)));
  // NVIDIA's driver makes no render node unless its display part is loaded.
  if (existsSync('/proc/driver/nvidia/version')) kernelDrivers.push('nvidia');
  return { platform, libraries: [...new Set([...maps].map(([, name]) => name!))], kernelDrivers };
}
