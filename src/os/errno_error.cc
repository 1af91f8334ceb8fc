#include "os/errno_error.h"

#include <cerrno>
#include <string>
#include <system_error>

namespace bdn::os {
namespace {

Code CodeOfErrno(int error_number) {
  switch (error_number) {
    case ENOENT:
      return Code::kNotFound;
    case EEXIST:
      return Code::kAlreadyExists;
    case EINVAL:
    case ENAMETOOLONG:
      return Code::kInvalidArgument;
    case ELOOP:  // openat2 met a symbolic link
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::kPermissionDenied;
    case ENOTEMPTY:
    case ENOTDIR:
    case EISDIR:
    case EXDEV:
    case EBUSY:
    case ETXTBSY:
    case ENXIO:  // a FIFO without a reader, a device without a driver
    case ENODEV:
      return Code::kFailedPrecondition;
    case ENOSPC:
    case EDQUOT:
    case EMLINK:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EFBIG:
    case EAGAIN:
      return Code::kResourceExhausted;
    case EIO:
    case ESTALE:
      return Code::kUnavailable;
    case ENOSYS:
    case EOPNOTSUPP:
      return Code::kUnsupported;
    default:
      return Code::kInternal;
  }
}

}  // namespace

Error ErrnoError(int error_number, std::string_view what) {
  std::string message(what);
  message += ": ";
  message += std::generic_category().message(error_number);
  Error error(CodeOfErrno(error_number), std::move(message));
  if (error_number == ELOOP) {
    return std::move(error).WithHint("a symbolic link stands in the path; remove it");
  }
  return error;
}

}  // namespace bdn::os
