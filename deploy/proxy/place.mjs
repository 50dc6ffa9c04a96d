// Where sessions are: below the path of the public address, if it has one (`/services/binder`).

export const BASE = process.env.REPOLAUNCH_BASE_PATH || "";
export const SESSION = `${BASE}/user/`;
