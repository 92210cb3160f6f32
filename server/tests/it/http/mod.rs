//! What every route has in common as HTTP: ids of requests, encodings, limits of bodies, and limits of callers.

mod bodies;
mod encodings;
mod ids;
mod pace;
