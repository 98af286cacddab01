/**
 * WebGPU on a machine without a GPU: SwiftShader, a Vulkan driver that computes on the CPU. It
 * comes with Debian's package `chromium`. It is for correctness only: it takes seconds for what a
 * GPU does in milliseconds.
 */
import { existsSync } from 'node:fs';

/** What is needed, and where Debian puts it. */
const DRIVER = { file: '/usr/lib/chromium/vk_swiftshader_icd.json', debian: 'chromium' };
const LOADER = { file: '/usr/lib/x86_64-linux-gnu/libvulkan.so.1', debian: 'libvulkan1' };

/**
 * Makes WebGPU in this process, and in those that it starts, run on SwiftShader. Call it before the
 * first session. Returns what this machine lacks, or null if it lacks nothing.
 */
export function useSwiftShader(): string | null {
  for (const { file, debian } of [DRIVER, LOADER]) {
    if (!existsSync(file)) return `there is no ${file}; Debian on x64 has it in its package ${debian}`;
  }
  process.env.VK_ICD_FILENAMES = DRIVER.file;
  return null;
}
