/** Binary files are Data modules: bundled unchanged and imported as bytes. */
declare module '*.bin' {
  const bytes: ArrayBuffer;
  export default bytes;
}
