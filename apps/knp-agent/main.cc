// The `knp-agent` program; what it does is in src/agent/run.h.
#include <string>
#include <vector>

#include "src/agent/run.h"

int main(int argc, char** argv) { return knp::agent::RunAgent({argv + (argc > 0 ? 1 : 0), argv + argc}); }
