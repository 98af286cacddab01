/** Whether two base URLs are one server's, however they are written; by two names, it is not seen. */
export const isSameServer = (a: string, b: string): boolean => written(a) === written(b);

const written = (url: string) => new URL(url).href.replace(/\/+$/, '');
