/** Binary files are Data modules: bundled as they are, imported as bytes. */
declare module '*.bin' {
  const bytes: ArrayBuffer;
  export default bytes;
}
