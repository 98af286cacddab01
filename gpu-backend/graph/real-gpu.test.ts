import { expect, test } from 'vitest';
import { isRealGpu, look, type Seen } from './real-gpu.ts';

const MESA = ['libvulkan.so.1', 'libvulkan_intel.so', 'libvulkan_radeon.so', 'libvulkan_lvp.so'];

test.each<[string, Omit<Seen, 'platform'>, boolean]>([
  ['NVIDIA', { libraries: ['libvulkan.so.1', 'libGLX_nvidia.so.570.1'], kernelDrivers: ['nvidia'] }, true],
  ['NVIDIA without a screen', { libraries: ['libEGL_nvidia.so.0'], kernelDrivers: ['nvidia'] }, true],
  ['AMD with Mesa', { libraries: MESA, kernelDrivers: ['amdgpu'] }, true],
  ['Intel with Mesa', { libraries: MESA, kernelDrivers: ['xe'] }, true],
  ['SwiftShader on a machine without a GPU', { libraries: ['libvk_swiftshader.so'], kernelDrivers: [] }, false],
  ['SwiftShader beside a GPU', { libraries: ['libvk_swiftshader.so'], kernelDrivers: ['amdgpu'] }, false],
  ['Mesa in a virtual machine without a GPU', { libraries: MESA, kernelDrivers: ['virtio_gpu'] }, false],
  ['Mesa in a container that sees no GPU', { libraries: MESA, kernelDrivers: [] }, false],
  ['NVIDIA whose Vulkan driver is missing', { libraries: MESA, kernelDrivers: ['nvidia'] }, false],
])('on Linux, %s', (_, seen, real) => {
  expect(isRealGpu({ platform: 'linux', ...seen })).toBe(real);
});

test('a Mac has a GPU, and on Windows nobody can tell', () => {
  const nothing = { libraries: [], kernelDrivers: [] };
  expect(isRealGpu({ platform: 'darwin', ...nothing })).toBe(true);
  expect(isRealGpu({ platform: 'win32', ...nothing })).toBe(false);
});

test.runIf(process.platform === 'linux')('sees the libraries of this process', () => {
  expect(look().libraries).toContainEqual(expect.stringMatching(/^libc\.so|^libc\.musl|^ld-/));
});
