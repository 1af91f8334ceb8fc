#pragma once
#include "cli/app.h"
#include "source/doctor.h"

namespace bdn::cli {

// As a table, or as JSON when the command line says so. 0 when no step failed, else 1.
ExitCode ShowDoctorReport(App& app, const source::DoctorReport& report);

}  // namespace bdn::cli
