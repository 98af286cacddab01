const LINE = 96;

/** The text of `kernel-bytes.ts`. */
export function kernelModule(bytes: Uint8Array): string {
  const base64 = Buffer.from(bytes).toString('base64');
  const lines = base64.match(new RegExp(`.{1,${LINE}}`, 'g')) ?? [];
  return `/**
 * The gate's kernel, compiled from kernel.as by testing/build-kernel.ts. Do not edit: a test
 * compiles it again and compares.
 */
export const KERNEL_BASE64 = \`
${lines.join('\n')}
\`;
`;
}
