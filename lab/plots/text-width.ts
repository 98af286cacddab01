/** A generous mean width of sans-serif letters, because we do not know which font will be used. */
export const textWidth = (text: string, fontSize: number): number => 0.58 * fontSize * text.length;
