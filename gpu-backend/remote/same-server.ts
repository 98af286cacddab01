/** Whether two base URLs are one server, however they are written. Two names are not seen. */
export const isSameServer = (a: string, b: string): boolean => written(a) === written(b);

const written = (url: string) => new URL(url).href.replace(/\/+$/, '');
