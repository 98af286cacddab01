/** The names by which a client on this machine may call what listens here. */
export const LOCAL_NAMES = ['127.0.0.1', 'localhost', '[::1]'] as const;
