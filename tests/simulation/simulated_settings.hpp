#pragma once
// What the simulated cluster is configured with, and the keys that it trusts.
#include "base/signature.hpp"
#include "decision/settings.hpp"
#include "tests/simulation/simulated_owner.hpp"

namespace selfheal::simulation {

// Keys cost more to make than a schedule takes; they carry no secret here.
const SigningKey& journal_key();
const SigningKey& person_key();

// Drawn: modes, limits and playbooks differ from schedule to schedule. `once_only`: what the shim
// leaves behind when it dies is never repeated, so that people have to end doubts. `edited`: the
// playbooks of the same names do their steps in another order, and one is gone.
Settings settings_for(Dice& dice, bool once_only, bool edited);
// The text of those that `number` draws. Kept by each thread until it asks for others.
const std::string& shared_settings(std::uint64_t number, bool once_only, bool edited);

}  // namespace selfheal::simulation
